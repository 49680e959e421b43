/* SIGINT and SIGTERM while carafe_run serves: the first stops the app, the second the process. */
#ifndef CARAFE_APP_SIGNALS_H
#define CARAFE_APP_SIGNALS_H

#include "base/error.h"

/* Catches both signals. Returns a descriptor that is readable once one has come; it stays the
 * process's. CARAFE_ERR_SYSTEM. Thread: any. */
int app_signals_catch(void) MUST_USE;

/* The end of one app_signals_catch(); the last restores what was before. Thread: any. */
void app_signals_release(void);

#endif /* CARAFE_APP_SIGNALS_H */
