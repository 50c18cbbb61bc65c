/* SPDX-License-Identifier: Apache-2.0 */
/* core/host.h on the host: log text goes to a buffer the test can read, physical memory is a window
 * of the test's own memory, a panic ends the test with its message. */
#include "tests/unit/host_stub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/host.h"

char stub_log[STUB_LOG_BYTES];
static size_t stub_log_used;
static uint8_t *stub_memory;
static uint64_t stub_base, stub_bytes;
jmp_buf *stub_panic_to;

void stub_log_clear(void) {
    stub_log_used = 0;
    stub_log[0] = '\0';
}

void stub_phys_set(uint64_t base, void *memory, uint64_t bytes) {
    stub_base = base;
    stub_memory = memory;
    stub_bytes = bytes;
}

void host_write(const char *text, size_t bytes) {
    if (getenv("STUB_LOG_SHOW") != NULL)
        fwrite(text, 1, bytes, stderr);
    if (bytes > sizeof(stub_log) - 1 - stub_log_used)
        bytes = sizeof(stub_log) - 1 - stub_log_used;
    memcpy(stub_log + stub_log_used, text, bytes);
    stub_log_used += bytes;
    stub_log[stub_log_used] = '\0';
}

void host_panic(const char *file, int line, const char *what) {
    if (stub_panic_to != NULL)
        longjmp(*stub_panic_to, 1);
    fprintf(stderr, "panic: %s:%d: %s\n", file, line, what);
    abort();
}

void *host_phys(hpa_t at, uint64_t bytes) {
    if (at.v < stub_base || bytes > stub_bytes || at.v - stub_base > stub_bytes - bytes)
        return NULL;
    return stub_memory + (at.v - stub_base);
}
