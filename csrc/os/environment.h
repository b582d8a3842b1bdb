/* environment.h: what the user says through environment variables. Read once, by xcos_start:
 * getenv while another thread calls setenv is a race that no lock of ours can end. */
#ifndef XCOS_OS_ENVIRONMENT_H
#define XCOS_OS_ENVIRONMENT_H

typedef struct {
    const char *num_threads; /* XCOS_NUM_THREADS, copied; "" where it is not set */
    const char *disable_cpu; /* XCOS_DISABLE_CPU, likewise */
} xo_environment;

/* Copies the variables. The strings live as long as the process. */
xo_environment xo_read_environment(void);

#endif
