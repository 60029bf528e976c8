/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "perf/load/load_space.h"

/*
 * Requests out and replies in, one protocol's worth. A reply is lines, and bodies of known length
 * between them; the reader finds them in a stream that is cut anywhere, without copying more than
 * a line, and compares bodies with the value that the key must have. A protocol says what a line
 * means.
 */

enum load_op {
	LOAD_GET,
	LOAD_SET,
};

struct load_request {
	uint64_t due_ns;  // when it was to be sent
	uint64_t sent_ns; // when it was
	uint64_t *keys;
	uint16_t keys_count;
	uint16_t id; // of its datagram
	uint8_t op;  // enum load_op
	bool done;   // answered ahead of older ones, or lost
};

struct load_reader;

/* What comes after a line of a reply. */
enum load_line {
	LOAD_LINE_NEXT, // another line
	LOAD_LINE_BODY, // reader->body_len bytes and CRLF, then another line or, if `last`, the end
	LOAD_LINE_END,  // nothing: the reply is complete
	LOAD_LINE_BAD,  // it is no line of this protocol in this place
};

struct load_proto {
	void (*encode)(const struct load_space *space, const struct load_request *request,
		       struct out *out);
	// `line` is without its line end.
	enum load_line (*line)(struct load_reader *reader, const struct load_request *request,
			       struct slice line);
};

extern const struct load_proto load_resp;
extern const struct load_proto load_mc_text; // also in datagrams
extern const struct load_proto load_mc_meta;

#define LOAD_LINE_MAX 1024 // bytes of a line of a reply

/* A reply in progress, and what is wrong with it. Zeroed between replies by the reader. */
struct load_reader {
	const struct load_space *space;
	const struct load_proto *proto;
	// of the reply
	uint32_t lines;     // seen
	uint32_t keys_done; // keys of the request that have had their turn
	uint32_t left;      // elements to come, of an array
	uint32_t hits, misses;
	bool wrong, refused; // not what it must be; an error reply
	// of the body that is being read
	bool in_body, last;
	uint64_t body_len, body_at;
	struct slice expected; // len: as long as it is known to be
	char why[160];         // about the first that was wrong
	uint32_t line_len;
	uint8_t line[LOAD_LINE_MAX];
};

void load_reader_init(struct load_reader *reader, const struct load_space *space,
		      const struct load_proto *proto);

enum load_reply_status {
	LOAD_REPLY_MORE, // all of the data belongs to it and it is not complete
	LOAD_REPLY_DONE, // *data begins behind it
	LOAD_REPLY_BAD,  // not this protocol: nothing that follows can be understood
};

/* Reads on in the reply to *request. The findings stay in the reader until load_reader_next(). */
enum load_reply_status load_reader_feed(struct load_reader *reader,
					const struct load_request *request, struct slice *data);
void load_reader_next(struct load_reader *reader);

/*
 * For protocols. load_reader_hit(): the next element is the value of this key; its length is
 * checked here, its bytes as they come. load_reader_miss(): a key has none.
 */
enum load_line load_reader_hit(struct load_reader *reader, uint64_t key, uint64_t len, bool last);
void load_reader_miss(struct load_reader *reader, uint64_t key);
void load_reader_error(struct load_reader *reader, struct slice line);
