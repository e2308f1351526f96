/* How many fibre stacks libcrypto has allocated and not freed. */
#ifndef STACKS_H
#define STACKS_H

#include <stdbool.h>

bool stacks_watch(void);
int stacks_live(void);

#endif
