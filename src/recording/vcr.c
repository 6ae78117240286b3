/* VCR cassettes (YAML) as tiingo-python keeps them: interactions of request.uri and
 * response.body.string become REST items. The cassette has no receive time: its "Date" header is
 * that of the recording's server, in seconds, and is not used.
 */
#include "recording/reader.h"

#include <stdlib.h>
#include <yaml.h>

struct vcr {
    yaml_document_t document;
    bool loaded;
    int interactions; /* node of the sequence, or 0 */
    size_t at;
    struct buf bytes;
    char url[4096];
};

static bool probe(const struct probe *p)
{
    return str_starts(p->head, "interactions:\n") || str_starts(p->head, "interactions:\r\n");
}

static struct str scalar(const yaml_node_t *n)
{
    if (!n || n->type != YAML_SCALAR_NODE) return STR("");
    return (struct str){(const char *)n->data.scalar.value, n->data.scalar.length};
}

static yaml_node_t *member(struct vcr *v, yaml_node_t *map, const char *key)
{
    if (!map || map->type != YAML_MAPPING_NODE) return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++)
        if (str_is(scalar(yaml_document_get_node(&v->document, p->key)), key))
            return yaml_document_get_node(&v->document, p->value);
    return NULL;
}

static enum err_code load(struct recording *r, struct vcr *v, const struct input_line *text,
                          struct err *e)
{
    yaml_parser_t parser;
    CHECK(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)text->p, text->n);
    v->loaded = yaml_parser_load(&parser, &v->document) == 1;
    int64_t line = (int64_t)parser.problem_mark.line + 1;
    enum err_code code = ERR_OK;
    if (!v->loaded)
        code = damaged_line(r, e, ERR_CORRUPT, line, "no YAML: %s",
                            parser.problem ? parser.problem : "unknown reason");
    yaml_parser_delete(&parser);
    return code;
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    struct vcr *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    r->state = v;
    buf_init(&v->bytes, RECORDING_DOCUMENT_MAX + VENUE_PADDING);
    struct input_line text;
    TRY(input_rest(r->in, RECORDING_DOCUMENT_MAX, &text, e));
    TRY(load(r, v, &text, e));
    yaml_node_t *list = member(v, yaml_document_get_root_node(&v->document), "interactions");
    if (!list || list->type != YAML_SEQUENCE_NODE)
        return ERR(e, ERR_PARSE, "%s: `interactions:` must be a list", r->path);
    v->interactions = (int)(list - v->document.nodes.start) + 1;
    return ERR_OK;
}

static void close_file(struct recording *r)
{
    struct vcr *v = r->state;
    if (!v) return;
    if (v->loaded) yaml_document_delete(&v->document);
    buf_free(&v->bytes);
    free(v);
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct vcr *v = r->state;
    yaml_node_t *list = yaml_document_get_node(&v->document, v->interactions);
    size_t count = (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
    if (v->at >= count) return ERR_NOT_FOUND;
    yaml_node_t *one =
        yaml_document_get_node(&v->document, list->data.sequence.items.start[v->at++]);
    struct str url = scalar(member(v, member(v, one, "request"), "uri"));
    yaml_node_t *body = member(v, member(v, one, "response"), "body");
    struct str text = scalar(member(v, body, "string"));
    static const char zeros[VENUE_PADDING];
    buf_reset(&v->bytes);
    buf_add_str(&v->bytes, text);
    buf_add(&v->bytes, zeros, sizeof zeros);
    ret->kind = RECORDING_REST;
    ret->bytes = (char *)v->bytes.data;
    ret->len = text.n;
    if (!str_copy(v->url, sizeof v->url, url) || url.n == 0 || text.n == 0)
        return ERR(e, ERR_PARSE,
                   "%s: interaction %zu: request.uri and response.body.string expected", r->path,
                   v->at);
    ret->url = str_of(v->url);
    const struct venue *venue = venue_by_url(ret->url);
    ret->venue = venue ? str_of(venue->name) : r->hint;
    return ERR_OK;
}

const struct format format_vcr = {
    .name = "vcr",
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
