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
#define DAYS_4_YEARS 1461u  /* every fourth year is a leap year from 2000 to 2099 */

enum { SECONDS = 0, MINUTES = 2, HOURS = 4, WEEKDAY = 6, DAY_OF_MONTH = 7, MONTH = 8, YEAR = 9, A, B, C, D };

static const uint16_t month_starts[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};

/* Days before month 0..11 of a year that is a leap year or not. */
static unsigned days_before(unsigned month, bool leap) {
    return month_starts[month] + (unsigned)(leap && month > 1);
}

static uint8_t to_bcd(unsigned v) {
    return (uint8_t)(v / 10 << 4 | v % 10);
}

static uint8_t date_register(unsigned days, unsigned index) {
    unsigned year = days / DAYS_4_YEARS * 4, day = days % DAYS_4_YEARS, month = 11;

    for (unsigned length = 366; day >= length; length = 365) {
        day -= length;
        year++;
    }
    while (day < days_before(month, year % 4 == 0))
        month--;
    if (index == YEAR)
        return to_bcd(year % 100);
    return to_bcd(index == MONTH ? month + 1 : day - days_before(month, year % 4 == 0) + 1);
}

uint8_t vrtc_register(uint64_t seconds, unsigned index) {
    unsigned days = (unsigned)(seconds / DAY), second = (unsigned)(seconds % DAY);

    switch (index) {
    case SECONDS:
        return to_bcd(second % 60);
    case MINUTES:
        return to_bcd(second / 60 % 60);
    case HOURS:
        return to_bcd(second / 3600);
    case WEEKDAY:
        return to_bcd((days + 4) % 7 + 1); /* 1970 began on a Thursday, Sunday is 1 */
    case DAY_OF_MONTH:
    case MONTH:
    case YEAR:
        return date_register(days < DAYS_TO_2000 ? 0 : days - DAYS_TO_2000, index);
    case A:
        return STATUS_A;
    case B:
        return B_24_HOURS;
    case D:
        return D_VALID;
    default:
        return 0;
    }
}

uint64_t vrtc_seconds(const uint8_t registers[VRTC_REGISTERS]) {
    static const uint8_t wanted[] = {SECONDS, MINUTES, HOURS, DAY_OF_MONTH, MONTH, YEAR};
    unsigned v[B] = {0}, days;
    bool binary = (registers[B] & B_BINARY) != 0, pm = false;

    for (unsigned i = 0; i < sizeof(wanted); i++) {
        unsigned raw = registers[wanted[i]];

        if (wanted[i] == HOURS && (registers[B] & B_24_HOURS) == 0) {
            pm = (raw & HOURS_PM) != 0;
            raw &= ~HOURS_PM;
        }
        v[wanted[i]] = binary ? raw : (raw >> 4) * 10 + (raw & 0xf);
    }
    if ((registers[B] & B_24_HOURS) == 0)
        v[HOURS] = v[HOURS] % 12 + (pm ? 12 : 0);
    if (v[SECONDS] > 59 || v[MINUTES] > 59 || v[HOURS] > 23 || v[DAY_OF_MONTH] - 1 > 30 ||
        v[MONTH] - 1 > 11 || v[YEAR] > 99)
        return 0;
    days = v[YEAR] / 4 * DAYS_4_YEARS + v[YEAR] % 4 * 365 + (v[YEAR] % 4 != 0 ? 1 : 0);
    days += days_before(v[MONTH] - 1, v[YEAR] % 4 == 0) + v[DAY_OF_MONTH] - 1 + DAYS_TO_2000;
    return days * DAY + v[HOURS] * 3600 + v[MINUTES] * 60 + v[SECONDS];
}
