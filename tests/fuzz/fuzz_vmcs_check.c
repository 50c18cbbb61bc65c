/* SPDX-License-Identifier: Apache-2.0 */
/* Any values in any fields: no field is read that need not be there, what is said is complete, and
 * what passes is at least what nobody could run without. */
#include <stdlib.h>

#include "tests/unit/vmcs_image.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)

static void check_passed(void) {
    bool pg = (image[F_CR0] & BIT(31)) != 0, ia32e = (image[F_ENTRY] & BIT(9)) != 0;

    CHECK((image[F_RFLAGS] & 2) != 0 && (image[F_EXIT] & BIT(9)) != 0);
    CHECK(!pg || (image[F_CR0] & 1) != 0);
    CHECK(!ia32e || (pg && (image[F_CR4] & BIT(5)) != 0 && (image[F_RFLAGS] & BIT(17)) == 0));
    CHECK(((image[F_EFER] & BIT(10)) != 0) == ia32e);
    CHECK((image[RIGHTS(SEG_TR)] & 0x97) == 0x83);
    CHECK(image[F_ACTIVITY] <= 3 && (image[F_INTERRUPTIBILITY] & 3) != 3);
    CHECK(image[F_HOST_CS] != 0 && image[F_HOST_TR] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const good[])(void) = {image_reset, image_sipi, image_start32, image_start64};
    struct vmcs_violation broken = {0}, again = {0};
    bool passes;
    struct {
        uint16_t field;
        uint64_t flip;
    } change;

    if (size == 0)
        return 0;
    good[data[0] % ARRAY_SIZE(good)]();
    data++;
    size--;
    for (; size >= 10; data += 10, size -= 10) {
        memcpy(&change.field, data, 2);
        memcpy(&change.flip, data + 2, 8);
        /* fields are at even numbers in steps of 800H, few in each */
        image[((change.field & 0x6c00) | (change.field & 0x3e)) % F_END] ^= change.flip;
    }
    passes = image_check(&broken);
    CHECK(image_check(&again) == passes && image_bad_reads == 0);
    if (passes)
        check_passed();
    else
        CHECK(broken.section != NULL && broken.field != NULL && broken.segment != NULL &&
              broken.rule != NULL && broken.rule == again.rule && broken.encoding < F_END &&
              broken.value == image[broken.encoding]);
    return 0;
}
