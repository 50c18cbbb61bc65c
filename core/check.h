/* SPDX-License-Identifier: Apache-2.0 */
/* ASSERT is always on. It states what the code guarantees; data of a guest, of the firmware or of the user
 * never reaches one. */
#pragma once

#include "core/host.h"

#define ASSERT(cond) ((cond) ? (void)0 : host_panic(__FILE__, __LINE__, #cond))
