/* aws.h - credentials and signatures of AWS: for S3, the Glue registry and Iceberg's REST catalog.
 *
 * Credentials  found in the order of AWS's own tools, and renewed before they end: the given keys; AWS_ACCESS_KEY_ID,
 *              AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; web identity (AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, by STS);
 *              the shared file (AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials, profile AWS_PROFILE); the container
 *              (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI); the instance (IMDSv2). A place that is set up and does
 *              not work ends the search with its own error. With `profile` only the shared file is looked at. Files are read
 *              again after a minute. AWS_ENDPOINT_URL_STS, AWS_EC2_METADATA_SERVICE_ENDPOINT and AWS_EC2_METADATA_DISABLED
 *              are obeyed.
 * Signature    version 4: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 * Secrets      never stand in an error, a log or an argument of a process.
 * Threads      an `aws` may be used from any thread (a mutex inside).
 */
#ifndef TICKLAKE_IO_AWS_H
#define TICKLAKE_IO_AWS_H

#include "io/http.h"

struct aws_options {
    const char *
        region; /* NULL: AWS_REGION, AWS_DEFAULT_REGION, the profile's in ~/.aws/config; else us-east-1 */
    const char *access_key, *secret_key, *session_token; /* NULL: found as above */
    const char *profile;                                 /* NULL: AWS_PROFILE, else "default" */
    const char *ca_file;
    int32_t timeout_ms; /* of one request for credentials; 0: 5000 */
};
struct aws;
struct aws *aws_new(const struct aws_options *o);
struct aws *aws_free(struct aws *a);
const char *aws_region(const struct aws *a);
/* Where the credentials came from, in words ("environment", "profile default of /home/x/.aws/credentials"), without them. */
enum err_code aws_source(struct aws *a, char out[256], struct err *e) MUST_USE;

/* Adds x-amz-date, x-amz-content-sha256 (S3 only), x-amz-security-token and authorization to the request's headers.
 * `service`: "s3", "glue", "execute-api"... payload_sha256: hex of the body, or "UNSIGNED-PAYLOAD". ERR_REFUSED where no
 * credentials are found: the text names every place that was looked at. */
enum err_code aws_sign(struct aws *a, const char *service, struct http_call *call,
                       const char *payload_sha256, int64_t now_ns, struct err *e) MUST_USE;
void aws_sha256_hex(struct str bytes, char out[65]);

#endif
