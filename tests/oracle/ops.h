/* The operations of the scenario language. */
#ifndef OPS_H
#define OPS_H

#include "world.h"

extern const Operation operations[]; /* ends with a NULL name */

/* Run a whole body; the frame holds its result. */
void run_body(Frame *frame, const Body *body);

enum { RAN_TO_END = 80, STOPPED_UNDEFINED = 81 }; /* exit codes that libcrypto would not choose */

#endif
