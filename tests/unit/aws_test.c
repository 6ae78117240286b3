/* Signatures against AWS's published examples; the INI reader and the environment. Other sources: tests/e2e/test_s3.py. */
#include "io/aws.h"

#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct known {
    const char *method, *url, *headers[3][2], *body, *token, *names, *signature;
};

static void check(const struct known *k, const char *service, struct aws *a, const char *date)
{
    struct http_call c;
    struct err e = {0};
    int64_t now_ns;
    char hash[65], expected[300];
    assert_int_equal(time_parse_iso(str_of(date), &now_ns), ERR_OK);
    http_call_init(&c, k->method, k->url, 100);
    for (int i = 0; i < 3 && k->headers[i][0]; i++)
        http_call_header(&c, k->headers[i][0], k->headers[i][1]);
    aws_sha256_hex(str_of(k->body), hash);
    assert_int_equal(aws_sign(a, service, &c, hash, now_ns, &e), ERR_OK);
    const char *authorization = http_call_get_header(&c, "authorization");
    snprintf(expected, sizeof expected, "SignedHeaders=%s, Signature=%s", k->names, k->signature);
    assert_non_null(authorization);
    const char *got = strstr(authorization, "SignedHeaders=");
    assert_non_null(got);
    assert_string_equal(got, expected);
    http_call_free(&c);
}

/* docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
static void signatures_of_s3(void **state)
{
    (void)state;
    const struct known known[] = {
        {"GET",
         "https://examplebucket.s3.amazonaws.com/test.txt",
         {{"Range", "bytes=0-9"}},
         NULL,
         NULL,
         "host;range;x-amz-content-sha256;x-amz-date",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"PUT",
         "https://examplebucket.s3.amazonaws.com:443/test%24file.text",
         {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
         "Welcome to Amazon S3.",
         NULL,
         "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {"GET",
         "https://examplebucket.s3.amazonaws.com/?lifecycle",
         {{NULL, NULL}},
         NULL,
         NULL,
         "host;x-amz-content-sha256;x-amz-date",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"GET",
         "https://examplebucket.s3.amazonaws.com/?prefix=J&max-keys=2",
         {{NULL, NULL}},
         NULL,
         NULL,
         "host;x-amz-content-sha256;x-amz-date",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    const struct aws_options o = {.region = "us-east-1",
                                  .access_key = "AKIAIOSFODNN7EXAMPLE",
                                  .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
    struct aws *a = aws_new(&o);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        check(&known[i], "s3", a, "2013-05-24T00:00:00Z");
    aws_free(a);
}

/* AWS's suite of test cases for signature version 4. */
static void signatures_of_other_services(void **state)
{
    (void)state;
    const struct known known[] = {
        {"GET",
         "https://example.amazonaws.com",
         {{NULL, NULL}},
         NULL,
         NULL,
         "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"GET",
         "https://example.amazonaws.com/example/../a/./..//",
         {{NULL, NULL}},
         NULL,
         NULL,
         "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"GET",
         "https://user@example.amazonaws.com/?Param2=value2&Param1=value1#x",
         {{NULL, NULL}},
         NULL,
         NULL,
         "host;x-amz-date",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"GET",
         "https://example.amazonaws.com/\u1234",
         {{NULL, NULL}},
         NULL,
         NULL,
         "host;x-amz-date",
         "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        {"POST",
         "https://example.amazonaws.com/",
         {{"User-Agent", "not signed"}, {"Expect", ""}},
         NULL,
         NULL,
         "host;x-amz-date",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"POST",
         "https://example.amazonaws.com/",
         {{"Content-Type", "application/x-www-form-urlencoded"}},
         "Param1=value1",
         NULL,
         "content-type;host;x-amz-date",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
        {"GET",
         "https://example.amazonaws.com/",
         {{"My-Header1", "value1"}, {"my-header2", "  \"a   b   c\"  "}},
         NULL,
         NULL,
         "host;my-header1;my-header2;x-amz-date",
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    };
    const struct aws_options o = {.region = "us-east-1",
                                  .access_key = "AKIDEXAMPLE",
                                  .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
    struct aws *a = aws_new(&o);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        check(&known[i], "service", a, "2015-08-30T12:36:00Z");
    aws_free(a);
}

static void clear(void)
{
    const char *names[] = {"AWS_ACCESS_KEY_ID",
                           "AWS_SECRET_ACCESS_KEY",
                           "AWS_SESSION_TOKEN",
                           "AWS_PROFILE",
                           "AWS_REGION",
                           "AWS_DEFAULT_REGION",
                           "AWS_WEB_IDENTITY_TOKEN_FILE",
                           "AWS_ROLE_ARN",
                           "HOME",
                           "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                           "AWS_CONTAINER_CREDENTIALS_FULL_URI"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials", 1);
    setenv("AWS_CONFIG_FILE", "/nowhere/config", 1);
}

static void write_file(char path[512], const char *text)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, 512, "%.480s/ini", folder ? folder : "/tmp");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void the_environment_and_files(void **state)
{
    (void)state;
    char path[512], source[256];
    struct err e = {0};
    clear();
    struct aws *a = aws_new(&(struct aws_options){0});
    assert_int_equal(aws_source(a, source, &e), ERR_REFUSED);
    assert_non_null(strstr(e.text, "AWS_ACCESS_KEY_ID is not set"));
    assert_non_null(strstr(e.text, "/nowhere/credentials: no such file"));
    assert_non_null(strstr(e.text, "AWS_EC2_METADATA_DISABLED"));
    assert_string_equal(aws_region(a), "us-east-1");

    setenv("AWS_ACCESS_KEY_ID", "AKIA1", 1);
    assert_int_equal(aws_source(a, source, &e), ERR_REFUSED);
    setenv("AWS_SECRET_ACCESS_KEY", "hidden", 1);
    setenv("AWS_SESSION_TOKEN", "hidden-token", 1);
    assert_int_equal(aws_source(a, source, &e), ERR_OK);
    assert_string_equal(source, "environment (AWS_ACCESS_KEY_ID)");
    struct http_call c;
    http_call_init(&c, "GET", "http://h/", 1);
    assert_int_equal(aws_sign(a, "s3", &c, EMPTY, 0, &e), ERR_OK);
    assert_string_equal(http_call_get_header(&c, "x-amz-security-token"), "hidden-token");
    assert_string_equal(http_call_get_header(&c, "x-amz-date"), "19700101T000000Z");
    assert_non_null(strstr(http_call_get_header(&c, "authorization"), "x-amz-security-token"));
    http_call_free(&c);
    aws_free(a);

    /* A profile that is asked for in the settings counts more than the environment. */
    write_file(path, "# keys\r\n[default]\naws_access_key_id=D\naws_secret_access_key=D\n"
                     "[ other ]\r\n aws_access_key_id = O \r\naws_secret_access_key = O=+/x\r\n"
                     "[profile other]\nregion = eu-central-1\n[half]\naws_access_key_id=x");
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    setenv("AWS_CONFIG_FILE", path, 1);
    a = aws_new(&(struct aws_options){.profile = "other"});
    assert_int_equal(aws_source(a, source, &e), ERR_OK);
    assert_true(str_starts(str_of(source), "profile other of "));
    assert_string_equal(aws_region(a), "eu-central-1");
    aws_free(a);
    const char *bad[] = {"absent", "half"};
    for (int i = 0; i < 2; i++) {
        a = aws_new(&(struct aws_options){.profile = bad[i]});
        assert_int_equal(aws_source(a, source, &e), ERR_REFUSED);
        assert_non_null(strstr(e.text, bad[i]));
        aws_free(a);
    }
    clear();
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    setenv("AWS_DEFAULT_REGION", "ap-south-1", 1);
    a = aws_new(&(struct aws_options){0});
    assert_int_equal(aws_source(a, source, &e), ERR_OK);
    assert_true(str_starts(str_of(source), "profile default of "));
    assert_string_equal(aws_region(a), "ap-south-1");
    aws_free(a);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_of_s3),
        cmocka_unit_test(signatures_of_other_services),
        cmocka_unit_test(the_environment_and_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
