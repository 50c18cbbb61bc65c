/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's ACPI namespace holds. acpi_gen.c finds VUEN by its name and sets it to 0 in
 * partitions without a virtual UART; it changes nothing else. */
DefinitionBlock ("", "DSDT", 2, "MULLIO", "MULLION ", 1)
{
    Name (\_S5, Package () { 5, 0, 0, 0 })

    Scope (\_SB)
    {
        Name (VUEN, 0x0F)

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 4 }
            })

            Method (_STA, 0, NotSerialized)
            {
                Return (VUEN)
            }
        }
    }
}
