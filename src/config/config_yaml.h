/* config_yaml.h - inside config/: what the YAML walk and the table share. */
#ifndef TICKLAKE_CONFIG_CONFIG_YAML_H
#define TICKLAKE_CONFIG_CONFIG_YAML_H

#include "config/config.h"

/* Adds one line "where: text" to c->errors. */
void config_error(struct config *c, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void config_unknown(struct config *c, const char *where, struct str section, struct str key);
const struct config_key *config_find(struct str section, struct str key); /* NULL */
void config_assign(struct config *c, const struct config_key *k, const char *where,
                   struct str value);
void config_replace_text(char **slot, struct str value); /* empty: NULL */
bool config_expand(struct config *c, const char *where, struct str value, struct buf *out);
void config_list_add(struct config_list *l, struct str value);
void config_free_list(struct config_list *l);
/* One key of one venue, which is added when it is not there yet (by environment or flag). */
void config_set_venue(struct config *c, const char *where, struct str venue, struct str key,
                      struct str value);

#endif
