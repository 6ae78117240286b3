/* version: of the program, its formats, and its libraries. */
#include "base/crash.h"
#include "command/command.h"
#include "lake/lake.h"
#include "store/store.h"

#include "gen/version.h"

static const struct option no_options[] = {{NULL, NULL, NULL}};

static int version(struct invocation *inv)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    if (!inv->json) {
        buf_addf(&out, "ticklake %s (%s)\nformats: config %d, store %d, lake %d, Iceberg 2\n",
                 TICKLAKE_VERSION, TICKLAKE_BUILD, CONFIG_VERSION, STORE_VERSION, LAKE_VERSION);
        print_out(&out);
        return 0;
    }
    buf_addf(
        &out,
        "{\"version\":\"%s\",\"build\":\"%s\",\"formats\":{\"config\":%d,\"store\":%d,\"lake\":%d,"
        "\"iceberg\":2},\"crash_points\":[",
        TICKLAKE_VERSION, TICKLAKE_BUILD, CONFIG_VERSION, STORE_VERSION, LAKE_VERSION);
    for (int p = 0; p < CRASH_MAX; p++)
        buf_addf(&out, "%s\"%s\"", p ? "," : "", crash_point_name((enum crash_point)p));
    buf_addf(&out, "]}\n");
    print_out(&out);
    return 0;
}

const struct command command_version = {
    .name = "version",
    .brief = "version, build, formats",
    .summary = "Version, build, and the versions of the formats.",
    .arguments = "",
    .example = "  ticklake version --json",
    .options = no_options,
    .run = version,
};
