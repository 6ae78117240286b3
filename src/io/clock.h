/* clock.h - the only door to the time. Everything pure takes a time as a parameter. */
#ifndef TICKLAKE_IO_CLOCK_H
#define TICKLAKE_IO_CLOCK_H

#include "base/time.h"

int64_t clock_wall_ns(void); /* ns since 1970 */
int64_t clock_mono_ns(void); /* never goes back */
int64_t clock_cpu_ns(void);  /* of this process */
void clock_sleep_ns(int64_t ns);

#endif
