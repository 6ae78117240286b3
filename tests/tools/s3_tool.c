/* s3_tool.c - the S3 client by hand, for tests/e2e/test_s3.py. Credentials are found as aws.h says.
 *
 *   s3_tool ENDPOINT [virtual] [tries=N] [part=BYTES] [timeout=MS] [ca=FILE] [probed] COMMAND...
 *     put ADDRESS FILE | put-absent ADDRESS FILE | put-bytes ADDRESS TEXT | put-bytes-absent ADDRESS TEXT
 *     get ADDRESS FILE | cat ADDRESS LIMIT | head ADDRESS | delete ADDRESS | list PREFIX | probe PREFIX
 *     make-bucket BUCKET | source | bench PREFIX COUNT
 * "probed" asks first whether conditional writes hold, as lake_open does. ENDPOINT "-" is AWS's. Prints the answer; an error goes to standard error, its exit code is that of the binary. */
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/file.h"
#include "io/s3.h"

static enum err_code print_object(void *ctx, struct str address, int64_t size, int64_t modified_ns,
                                  struct err *e)
{
    (void)ctx, (void)e;
    char text[TIME_TEXT_MAX];
    time_format(modified_ns, text);
    printf("%lld %s %.*s\n", (long long)size, text, STR_ARG(address));
    return ERR_OK;
}

static enum err_code cat(struct s3 *s, struct str address, size_t limit, struct err *e)
{
    struct buf b;
    buf_init(&b, limit);
    enum err_code code = s3_get(s, address, limit, &b, e);
    if (code == ERR_OK) fwrite(b.data ? b.data : (uint8_t *)"", 1, b.len, stdout);
    buf_free(&b);
    return code;
}

/* COUNT small objects written, read and deleted one after another: what one costs. */
static enum err_code bench(struct s3 *s, const char *prefix, int64_t count, struct err *e)
{
    static char bytes[4096];
    int64_t took[3] = {0};
    for (int64_t i = 0; i < count; i++) {
        char address[512];
        struct buf b;
        snprintf(address, sizeof address, "%s/%lld", prefix, (long long)i);
        buf_init(&b, sizeof bytes);
        int64_t at = clock_mono_ns();
        TRY(s3_put(s, str_of(address), (struct str){bytes, sizeof bytes}, true, e));
        took[0] += clock_mono_ns() - at;
        at = clock_mono_ns();
        TRY(s3_get(s, str_of(address), sizeof bytes, &b, e));
        took[1] += clock_mono_ns() - at;
        at = clock_mono_ns();
        TRY(s3_delete(s, str_of(address), e));
        took[2] += clock_mono_ns() - at;
        buf_free(&b);
    }
    printf("put %lld us, get %lld us, delete %lld us\n", (long long)(took[0] / count / 1000),
           (long long)(took[1] / count / 1000), (long long)(took[2] / count / 1000));
    return ERR_OK;
}

static enum err_code run(struct s3 *s, const char *command, const char *a, const char *b,
                         struct err *e)
{
    int64_t number = 0;
    bool holds = false;
    struct str address = str_of(a);
    if (strcmp(command, "put") == 0) return s3_put_file(s, address, b, false, e);
    if (strcmp(command, "put-absent") == 0) return s3_put_file(s, address, b, true, e);
    if (strcmp(command, "put-bytes") == 0) return s3_put(s, address, str_of(b), false, e);
    if (strcmp(command, "put-bytes-absent") == 0) return s3_put(s, address, str_of(b), true, e);
    if (strcmp(command, "get") == 0) return s3_get_file(s, address, b, e);
    if (strcmp(command, "delete") == 0) return s3_delete(s, address, e);
    if (strcmp(command, "list") == 0) return s3_list(s, address, print_object, NULL, e);
    if (strcmp(command, "make-bucket") == 0) return s3_make_bucket(s, address, e);
    if (strcmp(command, "cat") == 0 && str_to_i64(str_of(b), &number) == ERR_OK)
        return cat(s, address, (size_t)number, e);
    if (strcmp(command, "bench") == 0 && str_to_i64(str_of(b), &number) == ERR_OK)
        return bench(s, a, number, e);
    if (strcmp(command, "head") == 0) {
        TRY(s3_head(s, address, &number, e));
        printf("%lld\n", (long long)number);
        return ERR_OK;
    }
    if (strcmp(command, "probe") == 0) {
        TRY(s3_probe(s, address, &holds, e));
        puts(holds ? "conditional" : "unconditional");
        return ERR_OK;
    }
    return ERR(e, ERR_USAGE, "%s: no such command", command);
}

static bool option(struct s3_options *o, bool *probed, const char *text)
{
    int64_t n;
    const char *equals = strchr(text, '=');
    if (str_starts(str_of(text), "ca=")) return (o->aws.ca_file = text + 3) != NULL;
    if (strcmp(text, "virtual") == 0) return o->virtual_host = true;
    if (strcmp(text, "probed") == 0) return *probed = true;
    if (!equals || str_to_i64(str_of(equals + 1), &n) != ERR_OK) return false;
    if (str_starts(str_of(text), "tries=")) o->tries = (int32_t)n;
    if (str_starts(str_of(text), "part=")) o->part_bytes = n;
    if (str_starts(str_of(text), "timeout=")) o->timeout_ms = o->aws.timeout_ms = (int32_t)n;
    return true;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct s3_options o = {0};
    bool probed = false, ignored = false;
    int at = 2;
    while (at < argc && option(&o, &probed, argv[at])) at++;
    if (at >= argc) return 64;
    if (strcmp(argv[1], "-") != 0) o.endpoint = argv[1];
    enum err_code code;
    if (strcmp(argv[at], "source") == 0) {
        char source[256];
        struct aws *a = aws_new(&o.aws);
        code = aws_source(a, source, &e);
        if (code == ERR_OK) printf("%s, region %s\n", source, aws_region(a));
        aws_free(a);
    } else {
        struct s3 *s = s3_new(&o);
        code = ERR_OK;
        if (probed && at + 1 < argc)
            code = s3_probe_conditional(s, str_of(argv[at + 1]), &ignored, &e);
        if (code == ERR_OK)
            code = run(s, argv[at], at + 1 < argc ? argv[at + 1] : "",
                       at + 2 < argc ? argv[at + 2] : "", &e);
        s3_free(s);
    }
    if (code != ERR_OK) fprintf(stderr, "%s: %s\n", err_name(code), e.text);
    return err_exit_code(code);
}
