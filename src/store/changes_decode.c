#include "store/changes_internal.h"

static enum err_code begin(struct changes_decoder *d, const struct changes_message *m,
                           struct err *e)
{
    /* The begin of an interrupted transaction comes again, and behind it only the rows that are new (changes_filter.c). */
    if (d->open && m->lsn == d->begin) return ERR_OK;
    if (d->open || m->lsn < d->mark.position.lsn)
        return ERR(e, ERR_CORRUPT,
                   "a transaction that commits at " CHANGES_LSN
                   " begins inside or before that of " CHANGES_LSN,
                   CHANGES_LSN_ARG(m->lsn),
                   CHANGES_LSN_ARG(d->open ? d->begin : d->mark.position.lsn));
    d->open = true;
    d->begin = m->lsn;
    d->rows = 0;
    return ERR_OK;
}

static enum err_code commit(struct changes_decoder *d, const struct changes_message *m,
                            struct err *e)
{
    if (!d->open || m->lsn <= d->begin)
        return ERR(e, ERR_CORRUPT, "a commit that ends at " CHANGES_LSN " without its begin",
                   CHANGES_LSN_ARG(m->lsn));
    d->open = false;
    d->mark.position.lsn = m->lsn;
    d->mark.position.row = 0;
    d->mark.committed_ns = m->time_ns;
    d->transaction_total++;
    return ERR_OK;
}

static enum err_code batch_row(struct changes_decoder *d, const struct changes_value *values,
                               struct batch *b, struct err *e)
{
    struct changes_batch_row row;
    TRY(changes_row_batch(values, &row, e));
    if (row.live && row.clock_ns > d->mark.clock_ns) d->mark.clock_ns = row.clock_ns;
    if (row.live) b->clock_ns = d->mark.clock_ns;
    if (row.finish) {
        b->finish = true;
        d->mark.finishes++;
    }
    return ERR_OK;
}

static enum err_code insert(struct changes_decoder *d, const struct changes_message *m,
                            struct batch *b, struct err *e)
{
    const struct changes_relation *r = changes_relations_get(&d->relations, m->relation);
    if (!r)
        return ERR(e, ERR_VERSION,
                   "a row of a table (object id %u) of schema ticklake that this version does not "
                   "know, or of a single partition; run the version that wrote the store, and keep "
                   "publish_via_partition_root on",
                   m->relation);
    if (r->table == CHANGES_FOREIGN) return ERR_OK;
    if (m->columns != r->columns)
        return ERR(e, ERR_CORRUPT, "a row of %s with %u values for %u columns",
                   changes_table_name(r->table), m->columns, r->columns);
    struct changes_value values[CHANGES_FIELDS_MAX] = {{0}};
    struct str body = m->body;
    for (uint16_t i = 0; i < m->columns; i++) {
        struct changes_value v;
        if (!changes_next_value(&body, &v))
            return ERR(e, ERR_CORRUPT, "a row of %s that is cut short in value %u",
                       changes_table_name(r->table), i + 1u);
        if (r->fields[i] != CHANGES_FIELD_NONE) values[r->fields[i]] = v;
    }
    if (r->table == CHANGES_SERIES) return changes_row_series(values, d->series, e);
    if (r->table == CHANGES_BATCH) return batch_row(d, values, b, e);
    return changes_row_add(r->table, values, d->series, b, e);
}

enum err_code changes_decode(struct changes_decoder *d, struct str message, struct batch *b,
                             bool *ret_row, struct err *e)
{
    struct changes_message m;
    *ret_row = false;
    TRY(changes_message_parse(message, &m, e));
    switch (m.type) {
    case 'B': return begin(d, &m, e);
    case 'C': return commit(d, &m, e);
    case 'R': return changes_relations_put(&d->relations, &m, e);
    case 'I': break;
    default: return ERR_OK; /* origins, types, messages: nothing of ours */
    }
    if (!d->open) return ERR(e, ERR_CORRUPT, "a row outside of any transaction");
    TRY(insert(d, &m, b, e));
    d->rows++;
    d->row_total++;
    d->mark.position.lsn = d->begin;
    d->mark.position.row = d->rows;
    *ret_row = true;
    return ERR_OK;
}

void changes_decoder_free(struct changes_decoder *d) { changes_relations_free(&d->relations); }
