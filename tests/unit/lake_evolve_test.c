/* Columns that other writers' schemas bring: random fields on random events, against a model that is a list of what each row
 * must have; through commits, replacements, compaction, a second program and a crash. */
#include "lake_help.h"

#include "base/crash.h"
#include "lake/lake_internal.h"

#include <sys/wait.h>

enum { FIELDS = 6, ROWS = 4000 };
static const struct field {
    const char *name;
    enum column_type type;
} fields[FIELDS] = {{"note", COLUMN_STRING},   {"fee", COLUMN_DECIMAL}, {"lot", COLUMN_LONG},
                    {"maker", COLUMN_BOOLEAN}, {"raw", COLUMN_BINARY},  {"seen", COLUMN_TIME}};

struct value {
    bool given;
    int64_t number;
    i128 decimal;
    char text[40];
};
struct model {
    struct value trades[ROWS][FIELDS]; /* by sequence */
    struct value gaps[50][FIELDS];     /* by gap_id */
    int64_t gap_revision[50];
    struct value instruments[20][FIELDS]; /* by the number in its name */
    bool has_gap[50], has_instrument[20];
};

static void add_value(struct world *w, struct batch *b, enum table_id table, uint32_t index,
                      struct value *row, int field)
{
    const struct extra_column c = {table, fields[field].type, str_of(fields[field].name),
                                   STR("schema 7 of topic t")};
    int column = batch_extra_column(b, &c);
    assert_true(column >= 0);
    uint64_t r = world_random(w);
    struct value *v = &row[field];
    *v = (struct value){.given = r % 3 != 0};
    if (!v->given) return;
    v->number = fields[field].type == COLUMN_BOOLEAN ? (int64_t)(r / 8 % 2) : (int64_t)r;
    v->decimal = (i128)(int64_t)r * 1048576 + 5;
    snprintf(v->text, sizeof v->text, "%s é %llu", r % 5 ? "same" : "", (unsigned long long)r % 7);
    struct extra *x = batch_add_extra(b);
    *x = (struct extra){
        .column = (uint32_t)column, .index = index, .number = v->number, .decimal = v->decimal};
    assert_true(batch_text(b, str_of(v->text), &x->bytes));
}

static void add_values(struct world *w, struct batch *b, enum table_id table, uint32_t index,
                       struct value *row, unsigned mask)
{
    for (int f = 0; f < FIELDS; f++) {
        row[f] = (struct value){0};
        if (mask >> f & 1) add_value(w, b, table, index, row, f);
    }
}

static void add_gap(struct world *w, struct model *m, struct batch *b, int id, unsigned mask)
{
    struct gap *g = batch_add_gap(b);
    g->gap_id = id + 1;
    g->series = w->ids[0];
    g->from_time_ns = g->opened_ns = w->clock_ns;
    g->to_time_ns = g->closed_ns = TIME_ABSENT;
    g->rows_recovered = ++m->gap_revision[id];
    m->has_gap[id] = true;
    add_values(w, b, TABLE_GAPS, (uint32_t)(g - b->gaps), m->gaps[id], mask);
}

static void add_instrument(struct world *w, struct model *m, struct batch *b, int id, unsigned mask)
{
    char name[20];
    snprintf(name, sizeof name, "I%d", id);
    struct instrument *n = batch_add_instrument(b);
    n->venue = STR("v");
    assert_true(batch_text(b, str_of(name), &n->symbol));
    n->venue_symbol = n->symbol;
    n->contract_size = dec_absent();
    n->listed_ns = n->delisted_ns = TIME_ABSENT;
    m->has_instrument[id] = true;
    add_values(w, b, TABLE_INSTRUMENTS, (uint32_t)(n - b->instruments), m->instruments[id], mask);
}

static void push(struct world *world, struct model *m, int count, unsigned mask)
{
    struct batch *b = batch_get(world->pool, 0);
    for (int i = 0; i < count; i++) {
        int64_t sequence = world->next;
        assert_true(sequence < ROWS);
        unsigned some = world_random(world) % 4 ? mask : 0;
        world_trade(world, b);
        add_values(world, b, TABLE_TRADES, (uint32_t)b->trade_count - 1, m->trades[sequence], some);
        if (i % 5 == 0) add_gap(world, m, b, (int)(world_random(world) % 50), some);
        if (i % 7 == 0) add_instrument(world, m, b, (int)(world_random(world) % 20), some);
    }
    assert_ok(lake_push(world->lake, b, &world->e));
    batch_put(b);
}

/* ---- what the files hold */

struct seen {
    struct world *w;
    const struct model *m;
    int64_t trades, gaps, instruments;
};

static void same_value(const struct lake_extra *x, const struct parquet_chunk *c, size_t row,
                       const struct value *want)
{
    bool present = !c->present || c->present[row];
    assert_int_equal(present, want->given);
    if (!present) return;
    switch (x->type) {
    case COLUMN_STRING:
    case COLUMN_BINARY: assert_true(str_is(c->strings[row], want->text)); break;
    case COLUMN_DECIMAL: assert_true(c->decimals[row] == want->decimal); break;
    case COLUMN_TIME:
    case COLUMN_LONG: assert_int_equal(c->longs[row], want->number); break;
    case COLUMN_BOOLEAN: assert_int_equal(c->booleans[row], want->number); break;
    }
}

static int64_t number_of(struct str symbol) /* "I17" */
{
    int64_t n = -1;
    assert_int_equal(str_to_i64((struct str){symbol.p + 1, symbol.n - 1}, &n), ERR_OK);
    return n;
}

static const struct value *row_of(struct seen *s, const struct lake_file_reader *r, size_t row)
{
    switch ((int)r->t->id) {
    case TABLE_TRADES: s->trades++; return s->m->trades[r->chunks[TRADES_sequence].longs[row]];
    case TABLE_GAPS: s->gaps++; return s->m->gaps[r->chunks[GAPS_gap_id].longs[row] - 1];
    default:
        s->instruments++;
        return s->m->instruments[number_of(r->chunks[INSTRUMENTS_symbol].strings[row])];
    }
}

static void check_table(struct seen *s, enum table_id id)
{
    struct world *world = s->w;
    struct lake_table *t = &world->lake->tables[id];
    bool moved;
    assert_ok(lake_table_refresh(world->lake, t, &moved, &world->e));
    for (size_t i = 0; i < t->file_count; i++) {
        struct lake_file_reader r;
        const struct lake_live *f = &t->files[i];
        if (f->content != LAKE_DATA) continue;
        assert_ok(lake_reader_open(world->lake, &r, t->t, f, &world->e));
        while (lake_reader_next(&r)) {
            assert_ok(lake_reader_load(&r, UINT32_MAX, &world->e));
            for (size_t row = 0; row < (size_t)r.rows; row++) {
                if (lake_live_is_deleted(f, r.base + (int64_t)row)) continue;
                const struct value *want = row_of(s, &r, row);
                for (int k = 0; k < FIELDS; k++) {
                    const struct lake_extra *x = lake_extra_by_name(t, fields[k].name);
                    struct parquet_chunk c;
                    if (!x) {
                        assert_false(want[k].given);
                        continue;
                    }
                    assert_true(x->usable && x->type == fields[k].type);
                    assert_ok(lake_reader_extra(&r, x, &c, &world->e));
                    same_value(x, &c, row, &want[k]);
                }
            }
        }
        lake_reader_close(&r);
    }
}

static void check(struct world *world, const struct model *m)
{
    struct seen s = {.w = world, .m = m};
    check_table(&s, TABLE_TRADES);
    check_table(&s, TABLE_GAPS);
    check_table(&s, TABLE_INSTRUMENTS);
    int64_t gaps = 0, instruments = 0;
    for (int i = 0; i < 50; i++) gaps += m->has_gap[i];
    for (int i = 0; i < 20; i++) instruments += m->has_instrument[i];
    assert_int_equal(s.trades, world->trades);
    assert_int_equal(s.gaps, gaps);
    assert_int_equal(s.instruments, instruments);
    world_check(world);
}

static struct model *model_new(void)
{
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    return m;
}

static void compact(struct world *world)
{
    int64_t files;
    assert_ok(lake_compact(world->lake, false, world->clock_ns, &files, NULL, NULL, &world->e));
}

static void fields_become_columns(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct world *world = world_new(200 + seed);
        struct model *m = model_new();
        for (int round = 0; round < 30; round++) {
            /* One field after the other; old and new writers in the same commit. */
            push(world, m, 20, (1u << (round / 4 < FIELDS ? round / 4 : FIELDS)) - 1);
            if (world_random(world) % 3 == 0) push(world, m, 10, 0);
            world_commit(world);
            if (round % 6 == 5) compact(world);
            if (round % 10 == 9) world_reopen(world);
            if (round % 5 == 4) check(world, m);
        }
        struct lake_stats s;
        for (int i = 0; i < 20; i++) compact(world);
        check(world, m);
        lake_stats(world->lake, &s);
        assert_int_equal(s.columns_refused, 0);
        assert_int_equal(s.unreadable_files, 0);
        free(m);
        world_free(world);
    }
}

static void two_programs_agree(void **state)
{
    (void)state;
    struct world *world = world_new(210);
    struct model *m = model_new();
    struct lake *first = world->lake, *second;
    assert_ok(lake_open(&world->o, &second, &world->e));
    for (int round = 0; round < 12; round++) {
        int64_t position = lake_position(first);
        world->lake = second;
        push(world, m, 20, round < 4 ? 3 : 63);
        world->lake = first;
        push(world, m, 20, round < 4 ? 6 : 63);
        assert_ok(lake_commit(second, position, world->clock_ns, &world->e));
        assert_ok(lake_commit(first, position, world->clock_ns, &world->e));
        if (round % 4 == 3) compact(world);
    }
    check(world, m);
    for (int id = 0; id < TABLE_MAX; id++) {
        const struct lake_table *t = &first->tables[id];
        for (size_t i = 0; i < t->extras.count; i++) {
            assert_true(t->extras.items[i].field_id > LAKE_EXTRA_ID);
            for (size_t k = 0; k < i; k++) {
                assert_true(strcmp(t->extras.items[i].name, t->extras.items[k].name) != 0);
                assert_true(t->extras.items[i].field_id != t->extras.items[k].field_id);
            }
        }
    }
    lake_close(second);
    free(m);
    world_free(world);
}

/* ---- what does not fit */

static void push_field(struct world *world, const char *name, enum column_type type)
{
    struct batch *b = world_batch(world, 1, 0);
    const struct extra_column c = {TABLE_TRADES, type, str_of(name), STR("schema 8 of topic t")};
    struct extra *x = batch_add_extra(b);
    *x = (struct extra){.column = (uint32_t)batch_extra_column(b, &c), .bytes = STR("x")};
    assert_ok(lake_push(world->lake, b, &world->e));
    batch_put(b);
}

static void another_type_is_refused(void **state)
{
    (void)state;
    struct world *world = world_new(220);
    push_field(world, "note", COLUMN_STRING);
    world_commit(world);
    int64_t position = lake_position(world->lake);
    push_field(world, "note", COLUMN_LONG);
    struct err e = {0};
    assert_int_equal(lake_commit(world->lake, world->next - 1, world->clock_ns, &e),
                     ERR_INCOMPATIBLE);
    static const char *const words[] = {"\"note\"", "long", "string", "schema 8 of topic t",
                                        "market.trades"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_non_null(strstr(e.text, words[i]));
    assert_int_equal(lake_position(world->lake), position);
    lake_drop(world->lake);
    proof_set_clear(&world->expected);
    world->trades = 0;
    world->next = 2;
    struct proof_set claimed;
    proof_set_init(&claimed);
    assert_ok(lake_proofs(world->lake, &claimed, &world->e));
    assert_int_equal(claimed.count, 1); /* nothing of what was refused is there */
    proof_set_free(&claimed);
    /* Two at once: the first one has it, and the other is left out, since a restart would find the same two. */
    push_field(world, "two", COLUMN_LONG);
    push_field(world, "two", COLUMN_BOOLEAN);
    world_commit(world);
    const struct lake_extra *two = lake_extra_by_name(&world->lake->tables[TABLE_TRADES], "two");
    assert_non_null(two);
    assert_int_equal(two->type, COLUMN_LONG);
    struct lake_stats s;
    lake_stats(world->lake, &s);
    assert_int_equal(s.columns_refused, 1);
    world_free(world);
}

static void a_name_in_other_letters_is_left_out(void **state)
{
    (void)state;
    struct world *world = world_new(221);
    push_field(world, "Price", COLUMN_LONG);
    push_field(world, "note", COLUMN_STRING);
    push_field(world, "Note", COLUMN_STRING);
    world_commit(world);
    push_field(world, "NOTE", COLUMN_LONG);
    world_commit(world);
    world_check(world);
    assert_int_equal(world->lake->tables[TABLE_TRADES].extras.count, 1);
    struct lake_stats s;
    lake_stats(world->lake, &s);
    assert_int_equal(s.columns_added, 1);
    assert_int_equal(s.columns_refused, 3);
    world_free(world);
}

static void too_many_are_left_out(void **state)
{
    (void)state;
    struct world *world = world_new(222);
    for (int i = 0; i < LAKE_EXTRAS_MAX + 10; i++) {
        char name[20];
        snprintf(name, sizeof name, "f%d", i);
        push_field(world, name, i % 2 ? COLUMN_STRING : COLUMN_LONG);
        if (i % 9 == 0) world_commit(world);
    }
    world_commit(world);
    for (int i = 0; i < 5; i++) compact(world);
    world_check(world);
    assert_int_equal(world->lake->tables[TABLE_TRADES].extras.count, LAKE_EXTRAS_MAX);
    world_free(world);
}

/* ---- a table of an older ticklake */

/* Takes the field of this name out of the metadata file, where it is. */
static void take_out(struct world *world, const char *name)
{
    struct lake_table_info info;
    char path[PATH_LIMIT], key[60];
    struct buf text, out;
    assert_ok(lake_table_info(world->lake, TABLE_TRADES, &info, &world->e));
    world->lake = lake_close(world->lake);
    assert_ok(lake_path_of(str_of(info.metadata_location), path, &world->e));
    buf_init(&text, 1 << 20);
    buf_init(&out, 1 << 20);
    assert_ok(file_read(path, 1 << 20, &text, &world->e));
    snprintf(key, sizeof key, "\"name\":\"%s\"", name);
    const char *json = buf_cstr(&text), *at = strstr(json, key), *from = at, *to;
    assert_non_null(at);
    while (*from != '{') from--;
    to = strchr(at, '}') + 1;
    assert_true(*to == ',');
    buf_add(&out, json, (size_t)(from - json));
    buf_add_cstr(&out, to + 1);
    struct file_writer *w;
    assert_ok(file_writer_open(path, &w, &world->e));
    assert_ok(file_writer_add(w, out.data, out.len, &world->e));
    assert_ok(file_writer_finish(w, true, &world->e));
    buf_free(&text);
    buf_free(&out);
}

static void a_column_of_ours_is_added(void **state)
{
    (void)state;
    struct world *world = world_new(230);
    take_out(world, "last_id_number");
    assert_ok(lake_open(&world->o, &world->lake, &world->e));
    assert_true(world->lake->tables[TABLE_TRADES].absent != 0);
    world_push(world, 50, 5);
    world_commit(world);
    assert_true(world->lake->tables[TABLE_TRADES].absent == 0);
    world_check(world);
    world_reopen(world);
    assert_true(world->lake->tables[TABLE_TRADES].absent == 0);
    assert_int_equal(world->lake->tables[TABLE_TRADES].schema_id, 1);
    world_check(world);
    world_free(world);
}

/* A required column cannot be added: what stands there has no value for it. */
static void a_required_column_is_not_added(void **state)
{
    (void)state;
    struct world *world = world_new(231);
    take_out(world, "side");
    assert_int_equal(lake_open(&world->o, &world->lake, &world->e), ERR_VERSION);
    assert_non_null(strstr(world->e.text, "\"side\""));
    world->lake = NULL;
    world_free(world);
}

/* ---- a crash */

static void a_crash_loses_nothing(void **state)
{
    (void)state;
    static const char *const points[] = {"evolve.before_pointer:1", "evolve.after_pointer:1",
                                         "evolve.before_pointer:2", "evolve.after_pointer:3"};
    for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
        struct world *world = world_new(240 + p);
        struct model *m = model_new();
        push(world, m, 20, 0);
        world_commit(world);
        world->lake = lake_close(world->lake);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            if (lake_open(&world->o, &world->lake, &world->e) != ERR_OK) _exit(3);
            crash_setup(points[p]);
            push(world, m, 20, 3);
            world_commit(world);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_ok(lake_open(&world->o, &world->lake, &world->e));
        assert_int_equal(lake_position(world->lake), world->next - 1);
        push(world, m, 20, 3);
        world_commit(world);
        check(world, m);
        int64_t left = -1;
        assert_ok(lake_orphans(world->lake, true, &left, NULL, NULL, &world->e));
        assert_ok(lake_cleanup(world->lake, world->clock_ns + NS_PER_HOUR, &world->e));
        check(world, m);
        free(m);
        world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_become_columns),
        cmocka_unit_test(two_programs_agree),
        cmocka_unit_test(another_type_is_refused),
        cmocka_unit_test(a_name_in_other_letters_is_left_out),
        cmocka_unit_test(too_many_are_left_out),
        cmocka_unit_test(a_column_of_ours_is_added),
        cmocka_unit_test(a_required_column_is_not_added),
        cmocka_unit_test(a_crash_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
