/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Who may use memcached's protocols, when somebody has to say who they are: the text protocol's
 * scheme (memcached -Y: the first `set` of a connection carries "USER PASSWORD") and SASL PLAIN of
 * the binary one (RFC 4616), both against one list. A list is constant once it is made; the control
 * thread publishes it in session_limits.mc_users.
 */
struct mc_users;

#define MC_USERS_MAX     64
#define MC_USER_MAX      255 // bytes of a name
#define MC_PASSWORD_MAX  255
#define MC_AUTH_DATA_MAX 1024 // bytes that a client may send to say who it is

/*
 * From the text of a file with a line "USER:PASSWORD" for each; empty lines and those that begin
 * with # count for nothing. NULL: malformed, no user in it, or no memory; *line is then the line at
 * fault, 0 for the whole.
 */
struct mc_users *mc_users_parse(struct slice text, uint32_t *line);

/* Wipes the passwords. */
void mc_users_free(struct mc_users *users);

/* Takes as long for a wrong password as for a right one, and for a name that there is not. */
bool mc_users_check(const struct mc_users *users, struct slice user, struct slice password);

/* What the text scheme and SASL PLAIN send, taken apart and checked. */
enum mc_auth_result {
	MC_AUTH_GOOD,
	MC_AUTH_BAD,
	MC_AUTH_NO_PAIR, // not two words
};

enum mc_auth_result mc_auth_words(const struct mc_users *users, struct slice data);
enum mc_auth_result mc_auth_plain(const struct mc_users *users, struct slice data);
