/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest attack asks of the test build that attacks itself (tests/attack): RAX = this number, RBX =
 * up to eight bytes of the attack's name, RCX = an argument; -38 where there is no such attack. */
#pragma once

#define HYPERCALL_ATTACK  0x6b636174
#define ATTACK_NAME_BYTES 8
