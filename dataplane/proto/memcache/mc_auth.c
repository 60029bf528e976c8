/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/proto/memcache/mc_auth.h"

#include "dataplane/proto/memcache/mc_line.h"

#include <stdlib.h>
#include <string.h>

/*
 * Names and passwords. Made and freed by the control thread, asked by whichever thread carries the
 * session.
 */

struct mc_user {
	uint8_t name_len, password_len;
	uint8_t name[MC_USER_MAX];
	uint8_t password[MC_PASSWORD_MAX];
};

struct mc_users {
	uint32_t count;
	struct mc_user users[MC_USERS_MAX];
};

/* Takes the first line off the text, without its end. */
static struct slice take_line(struct slice *text)
{
	const uint8_t *end = memchr(text->ptr, '\n', text->len);
	size_t len = end ? (size_t)(end - text->ptr) : text->len;
	struct slice line = slice_of(text->ptr, len);

	text->ptr += len + (end != NULL);
	text->len -= len + (end != NULL);
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool add_user(struct mc_users *users, struct slice line)
{
	const uint8_t *colon = memchr(line.ptr, ':', line.len);
	size_t name_len = colon ? (size_t)(colon - line.ptr) : 0;
	size_t password_len = colon ? line.len - name_len - 1 : 0;
	struct mc_user *user = &users->users[users->count];

	if (users->count == MC_USERS_MAX || name_len == 0 || name_len > MC_USER_MAX ||
	    password_len == 0 || password_len > MC_PASSWORD_MAX)
		return false;
	user->name_len = (uint8_t)name_len;
	user->password_len = (uint8_t)password_len;
	memcpy(user->name, line.ptr, name_len);
	memcpy(user->password, colon + 1, password_len);
	users->count++;
	return true;
}

struct mc_users *mc_users_parse(struct slice text, uint32_t *line)
{
	struct mc_users *users = calloc(1, sizeof(*users));

	*line = 0;
	if (!users)
		return NULL;
	while (text.len > 0) {
		struct slice one = take_line(&text);

		++*line;
		if (one.len > 0 && one.ptr[0] != '#' && !add_user(users, one)) {
			mc_users_free(users);
			return NULL;
		}
	}
	*line = 0;
	if (users->count > 0)
		return users;
	mc_users_free(users);
	return NULL;
}

void mc_users_free(struct mc_users *users)
{
	if (!users)
		return;
	explicit_bzero(users, sizeof(*users));
	free(users);
}

/* As long as the longest there may be, with zeros behind its end. */
struct padded {
	uint8_t bytes[MC_USER_MAX];
	uint8_t len; // no user's is as long, when it was cut
};

_Static_assert(MC_USER_MAX == MC_PASSWORD_MAX && MC_USER_MAX == UINT8_MAX, "both are padded alike");

static struct padded pad(struct slice text)
{
	struct padded p = {.len = (uint8_t)(text.len <= MC_USER_MAX ? text.len : 0)};

	memcpy(p.bytes, text.ptr, p.len);
	return p;
}

/* 0 when they agree. Looks at all of both; the loop has a fixed length, for vector lanes. */
static uint32_t differ(const uint8_t *ours, uint8_t our_len, const struct padded *theirs)
{
	uint8_t difference = our_len ^ theirs->len;

	for (size_t i = 0; i < MC_USER_MAX; i++)
		difference |= ours[i] ^ theirs->bytes[i];
	return difference;
}

bool mc_users_check(const struct mc_users *users, struct slice user, struct slice password)
{
	struct padded name = pad(user), secret = pad(password);
	uint32_t found = 0;

	for (uint32_t i = 0; i < users->count; i++) {
		const struct mc_user *u = &users->users[i];

		found |= (differ(u->name, u->name_len, &name) |
			  differ(u->password, u->password_len, &secret)) == 0;
	}
	return found != 0;
}

enum mc_auth_result mc_auth_words(const struct mc_users *users, struct slice data)
{
	struct slice user = mc_token(&data), password = mc_token(&data);

	if (password.len == 0)
		return MC_AUTH_NO_PAIR;
	return mc_users_check(users, user, password) ? MC_AUTH_GOOD : MC_AUTH_BAD;
}

/* Whom to act as, who it is, the password: each but the last ends in a NUL (RFC 4616 2). */
enum mc_auth_result mc_auth_plain(const struct mc_users *users, struct slice data)
{
	const uint8_t *end = data.ptr + data.len;
	const uint8_t *first = data.len > 0 ? memchr(data.ptr, 0, data.len) : NULL;
	const uint8_t *second = first ? memchr(first + 1, 0, (size_t)(end - first - 1)) : NULL;

	if (!second)
		return MC_AUTH_NO_PAIR;
	struct slice act_as = slice_of(data.ptr, (size_t)(first - data.ptr));
	struct slice user = slice_of(first + 1, (size_t)(second - first - 1));
	struct slice password = slice_of(second + 1, (size_t)(end - second - 1));

	if (act_as.len > 0 && !slice_equal(act_as, user)) // nobody acts for another
		return MC_AUTH_BAD;
	return mc_users_check(users, user, password) ? MC_AUTH_GOOD : MC_AUTH_BAD;
}
