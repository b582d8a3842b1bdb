/* pending.c: weak placeholders so that the module links while its parts are being
 * written.  Each is overridden by the real symbol; the file goes when all are there. */
#include "py/binding.h"
#include "kernels.h"
#define WEAK __attribute__((weak))
#define PENDING(err) return xcos_fail(err, XCOS_E_UNSUPPORTED, "%s is pending", __func__)
WEAK xcos_status xcos_fail(xcos_error *err, xcos_status s, const char *f, ...)
{ (void)f; if (err) { err->text[0] = '?'; err->text[1] = 0; } return s; }
WEAK const xk_table xk_generic = {0};
WEAK const xk_table xk_avx2 = {0};
WEAK const xk_table xk_avx512 = {0};
WEAK const xk_table *xk_kernels(void) { return &xk_generic; }
WEAK const char *xcos_isa_name(void) { return "generic"; }
WEAK xcos_status xcos_isa_select(const char *n, xcos_error *e) { (void)n; PENDING(e); }
WEAK const char *const *xcos_isa_available(void) { static const char *const l[] = {"generic", NULL}; return l; }
WEAK int xcos_default_threads(void) { return 1; }
WEAK PyMethodDef xpy_image_methods[] = {{NULL, NULL, 0, NULL}};
WEAK PyMethodDef xpy_face_methods[] = {{NULL, NULL, 0, NULL}};
WEAK int xpy_add_network(PyObject *m) { (void)m; return 0; }
WEAK int xpy_add_head(PyObject *m) { (void)m; return 0; }
#include "pool.h"
WEAK void xc_parallel(int t, int64_t n, xc_loop *f, void *c) { (void)t; for (int64_t i = 0; i < n; i++) f(c, i, 0); }
