/* Frames one a line and nothing else: Tiingo's are recognised by their "messageType"; those of
 * another venue need --venue. There is no receive time.
 */
#include "recording/reader.h"

static bool probe(const struct probe *p)
{
    struct str rest = p->head;
    struct str line = {NULL, 0};
    while (rest.n && line.n == 0) line = str_trim(str_cut(&rest, '\n'));
    if (line.n == 0 || (line.p[0] != '{' && line.p[0] != '[')) return false;
    return (p->hint.n || str_contains(line, "\"messageType\"")) && json_is_whole(line);
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    (void)e;
    r->venue = r->hint.n ? r->hint : STR("tiingo");
    return ERR_OK;
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct input_line line;
    do {
        enum err_code code = input_line(r->in, VENUE_FRAME_MAX, &line, e);
        item_bytes(ret, &line);
        if (code != ERR_OK) return code;
    } while (line.n == 0);
    ret->kind = RECORDING_FRAME;
    ret->venue = r->venue;
    return line_of_text(r, &line, ret, e);
}

const struct format format_json_lines = {
    .name = "json lines",
    .probe = probe,
    .open = open_file,
    .next = next_item,
};
