/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/command/reply.h"

#include <stdarg.h>
#include <stdio.h>

/*
 * The one reply helper that is not a leaf of the ops table: errors that quote what a client sent.
 * Runs wherever a command runs.
 */

#define ERROR_TEXT_MAX (REPLY_ARG_WHOLE_MAX + 512) // bytes with the terminator; on the stack

void reply_error_format(struct reply *r, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	int len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len >= (int)sizeof(text))
		len = sizeof(text) - 1;
	// Redis trims line ends at the end; one inside would end the reply early.
	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == '\n'))
		len--;
	for (int i = 0; i < len; i++) {
		if (text[i] == '\r' || text[i] == '\n')
			text[i] = ' ';
	}
	reply_error(r, slice_of(text, (size_t)(len > 0 ? len : 0)));
}
