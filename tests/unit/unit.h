/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka wants these four before itself; every unit test includes this one instead. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
