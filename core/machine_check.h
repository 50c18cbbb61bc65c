/* SPDX-License-Identifier: Apache-2.0 */
/* What may go on after a machine check, which the CPU tells every core: what the registers of one say of that
 * core ("Machine-Check Architecture"). Pure. */
#pragma once

#include "core/types.h"

#define MCG_SER    BIT(24) /* of IA32_MCG_CAP: S and AR mean something */
#define MCG_RIPV   BIT(0)  /* of IA32_MCG_STATUS: what was interrupted can go on */
#define MCG_EIPV   BIT(1)  /* it is what met the error */

#define MC_VALID   BIT(63) /* of a bank's status: there is one */
#define MC_OVER    BIT(62) /* another was lost */
#define MC_UC      BIT(61) /* not corrected */
#define MC_EN      BIT(60) /* raises machine checks */
#define MC_CORRUPT BIT(57) /* the processor's context (PCC) */
#define MC_S       BIT(56) /* it did raise one */
#define MC_AR      BIT(55) /* to be acted on before what was interrupted goes on */

enum machine_check {               /* of the cause and all banks the worst counts */
                     CHECK_PASSES, /* another core's, or corrected: what was interrupted goes on */
                     CHECK_STOPS,  /* what was interrupted has lost something */
                     CHECK_BREAKS, /* so has the core itself: nothing may run on it any more */
};

/* By IA32_MCG_CAP and IA32_MCG_STATUS; both 0 where they are not there. */
static inline enum machine_check machine_check_cause(uint64_t cap, uint64_t mcg_status) {
    return cap != 0 && (mcg_status & (MCG_RIPV | MCG_EIPV)) == MCG_RIPV ? CHECK_PASSES : CHECK_STOPS;
}

/* By the status of one bank. */
static inline enum machine_check machine_check_bank(uint64_t cap, uint64_t status) {
    if ((status & MC_VALID) == 0 || (status & MC_UC) == 0)
        return CHECK_PASSES;
    if ((status & MC_CORRUPT) != 0)
        return CHECK_BREAKS;
    if ((cap & MCG_SER) != 0 && ((status & MC_S) == 0 || (status & (MC_AR | MC_OVER)) == 0))
        return CHECK_PASSES; /* poison that nobody has used yet */
    return (status & MC_EN) != 0 ? CHECK_STOPS : CHECK_PASSES;
}
