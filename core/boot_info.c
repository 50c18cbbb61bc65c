/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about what the boot loader brought. Knows nothing of how it was passed. */
#include "core/boot_info.h"

#include "core/str.h"

const struct module *boot_info_module(const struct boot_info *info, const char *name) {
    for (unsigned i = 0; i < info->nr_modules; i++)
        if (str_equal(info->modules[i].name, name))
            return &info->modules[i];
    return NULL;
}
