/* SPDX-License-Identifier: Apache-2.0 */
/* What a function that can fail returns. The place that detects an error logs it once, with the values;
 * callers only pass it on. */
#pragma once

enum err {
    ERR_OK = 0,
    ERR_MALFORMED,   /* input breaks its format */
    ERR_RANGE,       /* a number or address outside what is allowed */
    ERR_FULL,        /* a fixed table or a ring has no room */
    ERR_NO_MEMORY,   /* no frames left that fit */
    ERR_NOT_FOUND,   /* what was asked for is not there */
    ERR_UNSUPPORTED, /* well-formed, but not something we do */
};
