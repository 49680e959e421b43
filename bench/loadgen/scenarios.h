/* The scenarios, one file per kind. */
#ifndef LOADGEN_SCENARIOS_H
#define LOADGEN_SCENARIOS_H

#include "run.h"

extern const scenario echo_scenario;      /* echo.c */
extern const scenario emit_scenario;      /* echo.c */
extern const scenario polling_scenario;   /* echo.c */
extern const scenario broadcast_scenario; /* fanout.c */
extern const scenario rooms_scenario;     /* fanout.c */
extern const scenario connect_scenario;   /* connect.c */

#endif /* LOADGEN_SCENARIOS_H */
