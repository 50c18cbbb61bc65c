/* SPDX-License-Identifier: Apache-2.0 */
/* What any real clock may show, and any moment of the guest's: a date or none, and the way there and back. */
#include <stdlib.h>
#include <string.h>

#include "core/vrtc.h"

#define UNTIL_2100 UINT64_C(4102444800)
#define FROM_2000  UINT64_C(946684800)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held) {
    if (!held)
        abort();
}

static uint64_t there_and_back(uint64_t seconds) {
    uint8_t registers[VRTC_REGISTERS];

    for (unsigned i = 0; i < VRTC_REGISTERS; i++) {
        registers[i] = vrtc_register(seconds, i);
        require(i > 9 || ((registers[i] & 15) <= 9 && registers[i] >> 4 <= 9));
    }
    return vrtc_seconds(registers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t seconds;

    if (size < VRTC_REGISTERS)
        return 0;
    memcpy(&seconds, data, sizeof(seconds));
    (void)there_and_back(seconds);
    seconds = FROM_2000 + seconds % (UNTIL_2100 - FROM_2000);
    require(there_and_back(seconds) == seconds && vrtc_register(seconds, data[8]) <= 0x99);
    seconds = vrtc_seconds(data);
    require(seconds == 0 || (seconds >= FROM_2000 && seconds < UNTIL_2100 + 86400 * 2));
    return 0;
}
