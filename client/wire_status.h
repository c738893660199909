/* SPDX-License-Identifier: BSD-3-Clause
 * wire_status - what a client answers for each status of the wire. Pure. */
#ifndef FARPAGE_CLIENT_WIRE_STATUS_H
#define FARPAGE_CLIENT_WIRE_STATUS_H
#include <stdint.h>

#include "client/include/farpage.h"

enum farpage_status wire_status(uint16_t wire);
const char *wire_status_sentence(uint16_t wire);

#endif
