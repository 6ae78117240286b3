/* The least rights of each outside part, as lines that can be run or pasted, with the names of the settings in them. */
#include "command/validate_internal.h"

#include <stdio.h>

/* Of the SASL user that the properties name for this kind of client; else a word to fill in. */
static const char *user_of(const struct distributed *d, const char *kind, const char *word)
{
    char name[64];
    snprintf(name, sizeof name, "%s.sasl.username", kind);
    for (size_t i = 0; i < d->property_count; i++)
        if (strcmp(d->properties[i].name, name) == 0) return d->properties[i].value;
    for (size_t i = 0; i < d->property_count; i++)
        if (strcmp(d->properties[i].name, "client.sasl.username") == 0)
            return d->properties[i].value;
    return word;
}

static void acl(struct buf *b, const struct distributed *d, const char *user, const char *rest)
{
    buf_addf(b, "kafka-acls.sh --bootstrap-server %s --add --allow-principal 'User:%s' %s\n",
             d->config->bus.brokers, user, rest);
}

static void kafka(struct buf *b, const struct distributed *d)
{
    const struct config *c = d->config;
    const char *prefix = c->bus.prefix ? c->bus.prefix : "";
    const char *publisher = user_of(d, "producer", "PUBLISHER");
    const char *worker = user_of(d, "consumer", "WORKER");
    char text[1024];
    buf_add_cstr(b, "# Kafka, where it has an authorizer: the publisher (--stages bus)\n");
    snprintf(text, sizeof text,
             "--operation Create --operation Describe --operation DescribeConfigs --operation Read "
             "--operation Write --resource-pattern-type prefixed --topic '%smarket.'",
             prefix);
    acl(b, d, publisher, text);
    snprintf(text, sizeof text,
             "--operation Create --operation Describe --operation DescribeConfigs --operation Read "
             "--operation Write --topic '%sticklake_positions'",
             prefix);
    acl(b, d, publisher, text);
    snprintf(text, sizeof text, "--operation Describe --operation Write --transactional-id '%s%s'",
             prefix, c->bus.name);
    acl(b, d, publisher, text);
    buf_add_cstr(b, "# the workers (--stages process,lake), started after it, status and verify\n");
    snprintf(text, sizeof text,
             "--operation Describe --operation DescribeConfigs --operation Read "
             "--resource-pattern-type prefixed --topic '%smarket.'",
             prefix);
    acl(b, d, worker, text);
    snprintf(text, sizeof text,
             "--operation Describe --operation DescribeConfigs --operation Read "
             "--topic '%sticklake_positions'",
             prefix);
    acl(b, d, worker, text);
    snprintf(text, sizeof text, "--operation Describe --operation Read --group '%s'", c->bus.group);
    acl(b, d, worker, text);
}

static void registry(struct buf *b, const struct config *c)
{
    const char *prefix = c->bus.prefix ? c->bus.prefix : "";
    if (c->registry.kind == REGISTRY_CONFLUENT)
        buf_addf(b,
                 "# Schema registry: subjects %smarket.*-value\n"
                 "#   publisher  read, write, check compatibility, read and set the subject's "
                 "compatibility (Confluent RBAC: ResourceOwner on Subject:%smarket. as a prefix)\n"
                 "#   workers    read (DeveloperRead), and schemas by id\n",
                 prefix, prefix);
    if (c->registry.kind == REGISTRY_GLUE)
        buf_addf(
            b,
            "# AWS Glue schema registry: IAM policy of the publisher; workers need only the Get "
            "and List actions\n"
            "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":["
            "\"glue:GetSchemaVersion\",\"glue:GetSchemaByDefinition\",\"glue:ListSchemas\","
            "\"glue:RegisterSchemaVersion\",\"glue:CreateSchema\",\"glue:CreateRegistry\"],"
            "\"Resource\":[\"arn:aws:glue:*:*:registry/%s\",\"arn:aws:glue:*:*:schema/%s/*\"]}]}\n",
            c->registry.name, c->registry.name);
}

static void s3(struct buf *b, const struct config *c)
{
    struct str bucket, key;
    if (!s3_split(str_of(c->lake.warehouse), &bucket, &key)) return;
    while (key.n && key.p[key.n - 1] == '/') key.n--;
    const char *slash = key.n ? "/" : "";
    buf_addf(
        b,
        "# S3: IAM policy of the workers; who only reads the lake needs s3:GetObject and "
        "s3:ListBucket\n"
        "{\"Version\":\"2012-10-17\",\"Statement\":["
        "{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"s3:PutObject\",\"s3:DeleteObject\","
        "\"s3:AbortMultipartUpload\"],\"Resource\":\"arn:aws:s3:::%.*s/%.*s%s*\"},"
        "{\"Effect\":\"Allow\",\"Action\":\"s3:ListBucket\",\"Resource\":\"arn:aws:s3:::%.*s\","
        "\"Condition\":{\"StringLike\":{\"s3:prefix\":\"%.*s%s*\"}}}]}\n",
        STR_ARG(bucket), STR_ARG(key), slash, STR_ARG(bucket), STR_ARG(key), slash);
}

/* Namespace and tables are ours; nothing else of the catalog is touched. */
static void rest(struct buf *b, const struct config *c)
{
    const char *name = c->lake.rest_signing_name;
    if (name && strcmp(name, "glue") == 0) {
        buf_add_cstr(
            b,
            "# Iceberg REST catalog of AWS Glue: IAM policy of the workers; readers need the Get "
            "actions\n"
            "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":["
            "\"glue:GetCatalog\",\"glue:GetDatabase\",\"glue:CreateDatabase\",\"glue:GetTable\","
            "\"glue:GetTables\",\"glue:CreateTable\",\"glue:UpdateTable\"],\"Resource\":["
            "\"arn:aws:glue:*:*:catalog\",\"arn:aws:glue:*:*:database/market\","
            "\"arn:aws:glue:*:*:table/market/*\"]}]}\n");
    } else if (name && strcmp(name, "s3tables") == 0) {
        buf_add_cstr(
            b, "# Amazon S3 Tables: IAM policy of the workers; readers need the Get actions\n"
               "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":["
               "\"s3tables:GetTableBucket\",\"s3tables:GetNamespace\",\"s3tables:CreateNamespace\","
               "\"s3tables:GetTable\",\"s3tables:ListTables\",\"s3tables:CreateTable\","
               "\"s3tables:GetTableMetadataLocation\",\"s3tables:UpdateTableMetadataLocation\","
               "\"s3tables:GetTableData\",\"s3tables:PutTableData\"],\"Resource\":\"*\"}]}\n");
    } else {
        buf_addf(b,
                 "# Iceberg REST catalog %s: read and create the namespace market (once); list, "
                 "create, read and write its tables; readers: read them\n",
                 strchr(c->lake.catalog, '@') ? "" : c->lake.catalog);
    }
}

void validate_rights(struct finding *f, const struct distributed *d, const struct buf *grants)
{
    const struct config *c = f->inv->config;
    struct buf *b = &f->rights;
    buf_addf(b, "# this machine: read and write in %s; outgoing HTTPS and WSS to the venues\n",
             c->data);
    buf_add(b, grants->data, grants->len);
    if (c->bus.brokers) kafka(b, d);
    if (d->registry) registry(b, c);
    if (config_rest_catalog(c)) rest(b, c);
    if (c->lake.warehouse && str_starts(str_of(c->lake.warehouse), "s3")) s3(b, c);
}
