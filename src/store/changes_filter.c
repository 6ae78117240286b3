#include "store/changes_internal.h"

void changes_filter_session(struct changes_filter *f)
{
    f->begun = f->skip = false;
    f->left = 0;
}

void changes_filter_progress(struct changes_filter *f, uint64_t lsn)
{
    if (!f->open && !f->begun && lsn > f->lsn) f->lsn = lsn;
}

static enum err_code begin(struct changes_filter *f, uint64_t lsn, bool *ret_keep, struct err *e)
{
    if (f->begun)
        return ERR(e, ERR_CORRUPT, "a transaction begins inside another (" CHANGES_LSN ")",
                   CHANGES_LSN_ARG(lsn));
    f->begun = true;
    f->skip = lsn < f->lsn;
    if (f->skip) return ERR_OK;
    *ret_keep = true;
    if (!f->open) {
        f->open = true;
        f->lsn = lsn;
        f->row = 0;
    } else if (lsn > f->lsn) {
        return ERR(e, ERR_HOLE,
                   "the slot gives a transaction that commits at " CHANGES_LSN
                   ", but not the rest of that at " CHANGES_LSN
                   ", of which %lld rows were read: somebody else advanced the slot",
                   CHANGES_LSN_ARG(lsn), CHANGES_LSN_ARG(f->lsn), (long long)f->row);
    }
    f->left = f->row;
    return ERR_OK;
}

static enum err_code row(struct changes_filter *f, bool *ret_keep, struct err *e)
{
    if (!f->begun) return ERR(e, ERR_CORRUPT, "a row outside of any transaction");
    if (f->skip) return ERR_OK;
    *ret_keep = f->left == 0;
    if (f->left > 0)
        f->left--;
    else
        f->row++;
    return ERR_OK;
}

static enum err_code commit(struct changes_filter *f, uint64_t end, bool *ret_keep, struct err *e)
{
    if (!f->begun) return ERR(e, ERR_CORRUPT, "a commit without its begin");
    f->begun = false;
    if (f->skip) return ERR_OK;
    if (f->left > 0)
        return ERR(e, ERR_HOLE,
                   "the transaction that commits at " CHANGES_LSN
                   " has %lld rows fewer than were read of it before: the publication was altered "
                   "meanwhile, so where to go on is not known",
                   CHANGES_LSN_ARG(f->lsn), (long long)f->left);
    f->open = false;
    f->row = 0;
    f->lsn = end;
    *ret_keep = true;
    return ERR_OK;
}

enum err_code changes_filter_message(struct changes_filter *f, struct str message, bool *ret_keep,
                                     struct err *e)
{
    *ret_keep = false;
    struct changes_message m;
    char type = message.n ? message.p[0] : 0;
    if (type == 'I') return row(f, ret_keep, e);
    if (type == 'R') { /* each session describes each table anew, perhaps within what is left out */
        *ret_keep = true;
        return ERR_OK;
    }
    if (type != 'B' && type != 'C') return ERR_OK;
    TRY(changes_message_parse(message, &m, e));
    return type == 'B' ? begin(f, m.lsn, ret_keep, e) : commit(f, m.lsn, ret_keep, e);
}
