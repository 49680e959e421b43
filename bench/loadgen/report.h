/* A run's figures, for people and for programs. */
#ifndef LOADGEN_REPORT_H
#define LOADGEN_REPORT_H

#include "run.h"

/* The head of the table, valid Markdown. */
void report_head(void);

/* One row below the head; what was not measured is "-". */
void report_row(const run *r, const char *label);

/* One line of JSON; what was not measured is null. */
void report_json(const run *r);

#endif /* LOADGEN_REPORT_H */
