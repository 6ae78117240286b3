#include "venue/history.h"

#include <stdio.h>

void history_day_text(int32_t day, char text[16])
{
    char whole[TIME_TEXT_MAX];
    time_format((int64_t)day * NS_PER_DAY, whole);
    (void)snprintf(text, 16, "%.10s", whole);
}

void history_path(struct history_request *r, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(r->http.path, sizeof r->http.path, format, ap);
    va_end(ap);
    CHECK(n > 0 && (size_t)n < sizeof r->http.path);
}

bool history_escape(struct str symbols, char text[HISTORY_SYMBOLS_MAX])
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < symbols.n; i++) {
        unsigned char c = (unsigned char)symbols.p[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-_.~,", c));
        if (n + 4 > HISTORY_SYMBOLS_MAX) return false;
        if (plain) {
            text[n++] = (char)c;
            continue;
        }
        text[n++] = '%';
        text[n++] = digits[c >> 4];
        text[n++] = digits[c & 15];
    }
    text[n] = 0;
    return n > 0;
}
