/* cpu.h: the choice of an instruction set, for the files that start the core. */
#ifndef XCOS_CPU_H
#define XCOS_CPU_H

#include "xcos.h"

/* Leaves the instruction sets of a comma list out of the choice; XCOS_E_ARG for an unknown name.
 * Has no effect once a table is in force. */
xcos_status xk_without(const char *list, xcos_error *err);

#endif
