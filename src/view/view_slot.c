#include "view/view_internal.h"

enum err_code view_look_slot(struct view_probe *p, struct view_look *ret, struct err *e)
{
    const struct config *c = p->view->options.config;
    struct view_numbers *n = &ret->numbers;
    struct buf *out = &ret->page[VIEW_KAFKA];
    struct changes_slot s;
    TRY(changes_slot(c->store.url, c->store.slot, &s, e));
    n->slot_exists = s.exists;
    n->slot_active = s.active;
    n->slot_behind_bytes = s.exists ? s.behind_bytes : -1;
    n->slot_safe_bytes = s.exists ? s.safe_bytes : -1;
    n->slot_confirmed = s.confirmed_lsn;
    buf_add_cstr(out, ",\"slot\":{\"name\":");
    buf_add_json(out, str_of(c->store.slot));
    buf_addf(out, ",\"exists\":%s,\"active\":%s", s.exists ? "true" : "false",
             s.active ? "true" : "false");
    if (s.active) buf_addf(out, ",\"active_pid\":%d", s.active_pid);
    view_put_text(out, "wal_status", str_of(s.exists ? s.wal_status : ""));
    view_put_count(out, "behind_bytes", n->slot_behind_bytes);
    view_put_count(out, "safe_bytes", n->slot_safe_bytes);
    buf_addf(out, ",\"confirmed_lsn\":\"%X/%X\",\"server_lsn\":\"%X/%X\"}",
             (unsigned)(s.confirmed_lsn >> 32), (unsigned)s.confirmed_lsn,
             (unsigned)(s.server_lsn >> 32), (unsigned)s.server_lsn);
    return ERR_OK;
}
