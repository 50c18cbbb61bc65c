/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of the time-stamp counter's frequency. Every input may be wrong. */
#include "core/tsc.h"

#include "core/log.h"

uint64_t tsc_khz_measured(uint64_t tsc_ticks, uint64_t reference_ticks, uint64_t reference_hz) {
    uint64_t product;
    if (reference_ticks == 0 || __builtin_mul_overflow(tsc_ticks, reference_hz, &product))
        return 0;
    return product / reference_ticks / 1000;
}

uint64_t tsc_khz_claimed(uint32_t eax_15h, uint32_t ebx_15h, uint32_t ecx_15h, uint32_t eax_16h) {
    if (eax_15h == 0 || ebx_15h == 0)
        return 0;
    if (ecx_15h == 0) /* crystal not told: the ratio was made for the base frequency */
        return (uint64_t)(eax_16h & 0xffff) * 1000;
    return (uint64_t)ecx_15h * ebx_15h / eax_15h / 1000;
}

uint64_t tsc_khz_choose(uint64_t claimed, uint64_t measured) {
    uint64_t apart = claimed > measured ? claimed - measured : measured - claimed;
    if (claimed == 0 || measured == 0)
        return claimed + measured;
    if (apart > measured / 100) {
        log_line("tsc: CPUID says %lu kHz, measured are %lu kHz: using what was measured", claimed, measured);
        return measured;
    }
    return claimed;
}
