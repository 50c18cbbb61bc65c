/* SPDX-License-Identifier: Apache-2.0 */
/* Seconds to calendar and back, in the registers of an MC146818. The century is the 21st. */
#include "core/vrtc.h"

#define STATUS_A     0x26u /* 32768 Hz, no update in progress */
#define B_24_HOURS   0x02u
#define B_BINARY     0x04u
#define HOURS_PM     0x80u
#define D_VALID      0x80u

#define DAY          UINT64_C(86400)
#define DAYS_TO_2000 10957u /* from 1970 */

enum { SECONDS = 0, MINUTES = 2, HOURS = 4, WEEKDAY = 6, DAY_OF_MONTH = 7, MONTH = 8, YEAR = 9, A, B, C, D };

/* Counted from 1 March 1996 all is regular until 2099: years have 365 1/4 days, the odd one last, and five
 * months 153. */
#define ORIGIN         9556u /* days from 1970 */
#define YEAR_START(y)  (1461 * (y) / 4)
#define MONTH_START(m) ((153 * (m) + 2) / 5) /* 0 = March */

static uint8_t to_bcd(uint64_t v) {
    return (uint8_t)(v / 10 << 4 | v % 10);
}

uint8_t vrtc_register(uint64_t seconds, unsigned index) {
    uint64_t days = seconds / DAY, second = seconds % DAY;
    uint64_t from_origin = (days < DAYS_TO_2000 ? DAYS_TO_2000 : days) - ORIGIN;
    uint64_t year = (4 * from_origin + 3) / 1461, day = from_origin - YEAR_START(year);
    uint64_t month = (5 * day + 2) / 153;
    const uint8_t registers[VRTC_REGISTERS] = {
        [SECONDS] = to_bcd(second % 60),
        [MINUTES] = to_bcd(second / 60 % 60),
        [HOURS] = to_bcd(second / 3600),
        [WEEKDAY] = to_bcd((days + 4) % 7 + 1), /* 1970 began on a Thursday, Sunday is 1 */
        [DAY_OF_MONTH] = to_bcd(day - MONTH_START(month) + 1),
        [MONTH] = to_bcd((month + 2) % 12 + 1),
        [YEAR] = to_bcd((96 + year + (month >= 10 ? 1 : 0)) % 100),
        [A] = STATUS_A,
        [B] = B_24_HOURS,
        [D] = D_VALID,
    };
    return index < VRTC_REGISTERS ? registers[index] : 0;
}

uint64_t vrtc_seconds(const uint8_t registers[VRTC_REGISTERS]) {
    bool binary = (registers[B] & B_BINARY) != 0, half_days = (registers[B] & B_24_HOURS) == 0;
    bool pm = half_days && (registers[HOURS] & HOURS_PM) != 0;
    unsigned v[A];
    for (unsigned i = 0; i < A; i++) {
        unsigned raw = registers[i] & ~(i == HOURS && half_days ? HOURS_PM : 0);
        v[i] = binary ? raw : (raw >> 4) * 10 + (raw & 0xf);
    }
    if (half_days)
        v[HOURS] = v[HOURS] % 12 + (pm ? 12 : 0);
    if (v[SECONDS] > 59 || v[MINUTES] > 59 || v[HOURS] > 23 || v[DAY_OF_MONTH] - 1 > 30 ||
        v[MONTH] - 1 > 11 || v[YEAR] > 99)
        return 0;
    unsigned year = 4 + v[YEAR] - (v[MONTH] <= 2 ? 1 : 0), month = (v[MONTH] + 9) % 12;
    unsigned days = ORIGIN + YEAR_START(year) + MONTH_START(month) + v[DAY_OF_MONTH] - 1;
    return days * DAY + v[HOURS] * 3600 + v[MINUTES] * 60 + v[SECONDS];
}
