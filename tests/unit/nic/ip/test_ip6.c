/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/ip/ip_internal.h"
#include "tests/unit/nic/ip/ip6_frames.h"

/* IPv6, ICMPv6, neighbour discovery and VLANs: every frame has one verdict and one reason. */

#define TCP_SYN   "9c4018eb 00000001 00000000 5002ffff 00000000"
#define UDP       "9c4018eb 000a0000 6869"
#define ECHO      "80000000 12340001 6869"
#define SOLICIT   "87000000 00000000 fd000099000000000000000000000002 0101020000000001"
#define ADVERTISE "88000000 60000000 fd000099000000000000000000000009 0201020000000009"
#define FOUR      "3c00010400000000 3c00010400000000 3c00010400000000 3c00010400000000"
#define TARGET9   "fd000099000000000000000000000009"
#define GROUP_MAC "3333ff000002"
#define GROUP     "ff02::1:ff00:2"

static int setup(void **state)
{
	struct ip_config config = fixture_config();

	config.address6 = addr6(OUR6);
	config.prefix6_len = 64;
	config.gateway6 = addr6("fe80::fe");
	return fixture_setup_as(state, &config);
}

static const struct {
	const char *name;
	struct frame6 frame;
	enum ip_verdict verdict;
	const char *drops;
	uint32_t sent;
} cases[] = {
	{"tcp", {.next = 6, .upper = 6, .payload = TCP_SYN}, IP_TCP, "", 0},
	{"to the link-local address",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .dst = OUR6_LOCAL, .src = "fe80::1"},
	 IP_TCP,
	 "",
	 0},
	{"tcp checksum",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .bad_checksum = true},
	 IP_DONE,
	 "tcp_checksum",
	 0},
	{"tcp too short", {.next = 6, .payload = "9c4018eb"}, IP_DONE, "tcp_short", 0},
	{"udp", {.next = 17, .upper = 17, .payload = UDP}, IP_UDP, "", 0},
	{"udp checksum",
	 {.next = 17, .upper = 17, .payload = UDP, .bad_checksum = true},
	 IP_DONE,
	 "udp_bad",
	 0},
	{"udp without a checksum (RFC 8200 8.1)",
	 {.next = 17, .payload = UDP},
	 IP_DONE,
	 "udp_bad",
	 0},
	{"version 4",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .version = 4},
	 IP_DONE,
	 "ip6_version",
	 0},
	{"one byte short",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .longer = 1},
	 IP_DONE,
	 "ip6_short",
	 0},
	{"header cut", {.next = 6, .payload = TCP_SYN, .cut = 14 + 39}, IP_DONE, "ip6_short", 0},
	{"padding is trimmed",
	 {.next = 6, .payload = TCP_SYN "0000", .longer = -2},
	 IP_DONE,
	 "tcp_checksum",
	 0},
	{"to another host",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .dst = "fd00:99::3"},
	 IP_DONE,
	 "ip6_not_ours",
	 0},
	{"from a group",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .src = "ff02::1"},
	 IP_DONE,
	 "ip6_source",
	 0},
	{"from nobody",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .src = "::"},
	 IP_DONE,
	 "ip6_source",
	 0},
	{"from loopback",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .src = "::1"},
	 IP_DONE,
	 "ip6_source",
	 0},
	{"from ourselves",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .src = OUR6},
	 IP_DONE,
	 "ip6_source",
	 0},
	{"from a mapped address (RFC 4942 2.2)",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .src = "::ffff:10.99.0.1"},
	 IP_DONE,
	 "ip6_source",
	 0},
	{"tcp to a group",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .dst = GROUP, .dst_mac = GROUP_MAC},
	 IP_DONE,
	 "eth_group",
	 0},
	{"to a group of others",
	 {.next = 6, .upper = 6, .payload = TCP_SYN, .dst = "ff02::2", .dst_mac = "333300000002"},
	 IP_DONE,
	 "ip6_not_ours",
	 0},
	{"nothing behind the header", {.next = 59}, IP_DONE, "ip6_protocol", 0},
	{"an unknown protocol is reported",
	 {.next = 132, .payload = "00"},
	 IP_DONE,
	 "ip6_protocol",
	 1},
	// Extension headers
	{"hop by hop, padding",
	 {.next = 0, .before = "0600010400000000", .upper = 6, .payload = TCP_SYN},
	 IP_TCP,
	 "",
	 0},
	{"hop by hop, router alert",
	 {.next = 0, .before = "0600050200000100", .upper = 6, .payload = TCP_SYN},
	 IP_TCP,
	 "",
	 0},
	{"destination options",
	 {.next = 60, .before = "0600010400000000", .upper = 6, .payload = TCP_SYN},
	 IP_TCP,
	 "",
	 0},
	{"an option that must not be skipped",
	 {.next = 60, .before = "0600c20400000000", .upper = 6, .payload = TCP_SYN},
	 IP_DONE,
	 "ip6_extension",
	 0},
	{"an option beyond its header",
	 {.next = 60, .before = "0600010500000000", .upper = 6, .payload = TCP_SYN},
	 IP_DONE,
	 "ip6_extension",
	 0},
	{"hop by hop, not the first",
	 {.next = 60,
	  .before = "0000010400000000 0600010400000000",
	  .upper = 6,
	  .payload = TCP_SYN},
	 IP_DONE,
	 "ip6_extension",
	 0},
	{"a header beyond the packet",
	 {.next = 60, .before = "0609010400000000"},
	 IP_DONE,
	 "ip6_extension",
	 0},
	{"a header cut", {.next = 60, .before = "06000104"}, IP_DONE, "ip6_extension", 0},
	{"routing that is over",
	 {.next = 43, .before = "0600000000000000", .upper = 6, .payload = TCP_SYN},
	 IP_TCP,
	 "",
	 0},
	{"routing to others",
	 {.next = 43, .before = "0600000100000000", .upper = 6, .payload = TCP_SYN},
	 IP_DONE,
	 "ip6_extension",
	 0},
	{"a first fragment",
	 {.next = 44, .before = "0600000100000001", .upper = 6, .payload = TCP_SYN},
	 IP_DONE,
	 "ip6_fragment",
	 0},
	{"a later fragment",
	 {.next = 44, .before = "0600000800000001", .upper = 6, .payload = TCP_SYN},
	 IP_DONE,
	 "ip6_fragment",
	 0},
	{"a fragment that is all (RFC 6946)",
	 {.next = 44, .before = "0600000000000001", .upper = 6, .payload = TCP_SYN},
	 IP_TCP,
	 "",
	 0},
	{"nine headers",
	 {.next = 60, .before = FOUR FOUR "0600010400000000", .upper = 6, .payload = TCP_SYN},
	 IP_DONE,
	 "ip6_extension",
	 0},
	// ICMPv6
	{"echo", {.next = 58, .upper = 58, .payload = ECHO}, IP_DONE, "", 1},
	{"echo checksum",
	 {.next = 58, .upper = 58, .payload = ECHO, .bad_checksum = true},
	 IP_DONE,
	 "icmp_bad",
	 0},
	{"echo from nobody",
	 {.next = 58,
	  .upper = 58,
	  .payload = ECHO,
	  .src = "::",
	  .dst = GROUP,
	  .dst_mac = GROUP_MAC},
	 IP_DONE,
	 "ip6_source",
	 0},
	{"echo reply",
	 {.next = 58, .upper = 58, .payload = "81000000 12340001"},
	 IP_DONE,
	 "icmp_type",
	 0},
	{"router advertisement",
	 {.next = 58, .upper = 58, .payload = "86000000 40000000 00000000 00000000"},
	 IP_DONE,
	 "icmp_type",
	 0},
	{"redirect (RFC 4861 8.1)",
	 {.next = 58, .upper = 58, .payload = "89000000 00000000"},
	 IP_DONE,
	 "icmp_type",
	 0},
	{"too short", {.next = 58, .payload = "8000"}, IP_DONE, "icmp_bad", 0},
	{"an error that quotes nothing",
	 {.next = 58, .upper = 58, .payload = "02000000 00000500"},
	 IP_DONE,
	 "icmp_bad",
	 0},
	// Neighbour discovery
	{"solicitation",
	 {.next = 58, .upper = 58, .payload = SOLICIT, .dst = GROUP, .dst_mac = GROUP_MAC},
	 IP_DONE,
	 "",
	 1},
	{"solicitation to us alone", {.next = 58, .upper = 58, .payload = SOLICIT}, IP_DONE, "", 1},
	{"solicitation of another",
	 {.next = 58, .upper = 58, .payload = "87000000 00000000 fd000099000000000000000000000003"},
	 IP_DONE,
	 "nd_not_ours",
	 0},
	{"solicitation of the link-local address",
	 {.next = 58, .upper = 58, .payload = "87000000 00000000 fe80000000000000000000fffe000002"},
	 IP_DONE,
	 "",
	 1},
	{"from beyond a router (RFC 4861 7.1.1)",
	 {.next = 58, .upper = 58, .payload = SOLICIT, .hop_limit = 254},
	 IP_DONE,
	 "nd_bad",
	 0},
	{"an option of length 0",
	 {.next = 58,
	  .upper = 58,
	  .payload = "87000000 00000000 fd000099000000000000000000000002 0100020000000001"},
	 IP_DONE,
	 "nd_bad",
	 0},
	{"an option beyond the message",
	 {.next = 58,
	  .upper = 58,
	  .payload = "87000000 00000000 fd000099000000000000000000000002 0102020000000001"},
	 IP_DONE,
	 "nd_bad",
	 0},
	{"a group's MAC address",
	 {.next = 58,
	  .upper = 58,
	  .payload = "87000000 00000000 fd000099000000000000000000000002 0101030000000001"},
	 IP_DONE,
	 "nd_bad",
	 0},
	{"a code",
	 {.next = 58, .upper = 58, .payload = "87010000 00000000 fd000099000000000000000000000002"},
	 IP_DONE,
	 "nd_bad",
	 0},
	{"target is a group",
	 {.next = 58, .upper = 58, .payload = "87000000 00000000 ff020000000000000000000000000001"},
	 IP_DONE,
	 "nd_bad",
	 0},
	{"cut",
	 {.next = 58, .upper = 58, .payload = "87000000 00000000 fd000099"},
	 IP_DONE,
	 "nd_bad",
	 0},
	{"is our address free? (RFC 4862 5.4.3)",
	 {.next = 58,
	  .upper = 58,
	  .payload = "87000000 00000000 fd000099000000000000000000000002",
	  .src = "::",
	  .dst = GROUP,
	  .dst_mac = GROUP_MAC},
	 IP_DONE,
	 "",
	 1},
	{"who asks that has no address",
	 {.next = 58,
	  .upper = 58,
	  .payload = SOLICIT,
	  .src = "::",
	  .dst = GROUP,
	  .dst_mac = GROUP_MAC},
	 IP_DONE,
	 "nd_bad",
	 0},
	{"advertisement unasked", {.next = 58, .upper = 58, .payload = ADVERTISE}, IP_DONE, "", 0},
	{"solicited, to all",
	 {.next = 58,
	  .upper = 58,
	  .payload = ADVERTISE,
	  .dst = "ff02::1",
	  .dst_mac = "333300000001"},
	 IP_DONE,
	 "nd_bad",
	 0},
	{"somebody has our address",
	 {.next = 58,
	  .upper = 58,
	  .payload = "88000000 20000000 fd000099000000000000000000000002 0201020000000009",
	  .dst = "ff02::1",
	  .dst_mac = "333300000001"},
	 IP_DONE,
	 "nd_conflict",
	 2},
};

static void test_each_frame_has_its_verdict(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint32_t steered, hash = 0;

		print_message("%s\n", cases[i].name);
		fixture_drops(f);
		fixture_clear_sent(f);
		f->now_ns += 11 * 1000000000ull; // rate limits have recovered
		assert_int_equal(input6(f, &cases[i].frame), cases[i].verdict);
		assert_string_equal(fixture_drops(f), cases[i].drops);
		assert_int_equal(f->sent_count, cases[i].sent);
		// Who steers must come to the hash that the stack comes to.
		steered = ip_flow_hash(&f->in, &hash);
		if (cases[i].verdict == IP_TCP || cases[i].verdict == IP_UDP) {
			assert_true(steered);
			assert_int_equal(hash, f->packet.hash);
		}
	}
}

static void test_packet_says_who_and_what(void **state)
{
	struct fixture *f = *state;
	struct frame6 syn = {.next = 6, .upper = 6, .payload = TCP_SYN};
	uint8_t tuple[36];
	struct ip_addr local = addr6(OUR6), remote = addr6(PEER6);

	assert_int_equal(input6(f, &syn), IP_TCP);
	assert_true(ip_addr_equal(&f->packet.flow.local, &local));
	assert_true(ip_addr_equal(&f->packet.flow.remote, &remote));
	assert_int_equal(f->packet.flow.local_port, 6379);
	assert_int_equal(f->packet.flow.remote_port, 40000);
	assert_int_equal(f->packet.l4_len, 20);
	memcpy(tuple, &remote, 16);
	memcpy(tuple + 16, &local, 16);
	memcpy(tuple + 32, "\x9c\x40\x18\xeb", 4);
	assert_int_equal(f->packet.hash, port_flow_hash(tuple, sizeof(tuple)));
}

static bool answer(struct fixture *f)
{
	uint8_t header[20] = {0x18, 0xeb, 0x9c, 0x40, [12] = 0x50};

	fixture_clear_sent(f);
	return ip_output_flow(f->ip, &(struct ip_segment){
					     .flow = &f->packet.flow,
					     .peer = f->packet.peer,
					     .protocol = IP_PROTOCOL_TCP,
					     .ecn = 2,
					     .header = slice_of(header, sizeof(header)),
				     });
}

static void test_answer_goes_back_from_the_address_it_came_to(void **state)
{
	static const char *const pairs[][2] = {
		{PEER6, OUR6}, {"fe80::1", OUR6_LOCAL}, {"fe80::1", OUR6}, {PEER6, OUR6_LOCAL}};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
		struct frame6 syn = {.next = 6,
				     .upper = 6,
				     .payload = TCP_SYN,
				     .src = pairs[i][0],
				     .dst = pairs[i][1]};
		const uint8_t *ip;

		assert_int_equal(input6(f, &syn), IP_TCP);
		assert_true(answer(f));
		ip = sent6(f, pairs[i][1], pairs[i][0]);
		assert_int_equal(ip[6], IP_PROTOCOL_TCP);
		assert_int_equal(ip[7], 64);
		assert_int_equal(be32_load(ip), 0x60200000);
		assert_int_equal(f->sent[0].tx_flags, FRAME_TX_TCP_CHECKSUM);
		assert_int_equal(f->sent[0].l3_len, 40);
	}
}

static void test_echo_is_answered(void **state)
{
	struct fixture *f = *state;
	const uint8_t *ip;

	assert_int_equal(input6(f, &(struct frame6){.next = 58, .upper = 58, .payload = ECHO}),
			 IP_DONE);
	ip = sent6(f, OUR6, PEER6);
	assert_int_equal(ip[40], ICMP6_ECHO_REPLY);
	assert_memory_equal(ip + 44, "\x12\x34\x00\x01hi", 6);
}

static void test_solicitation_is_answered(void **state)
{
	struct fixture *f = *state;
	const uint8_t *ip;

	(void)input6(f, &(struct frame6){.next = 58,
					 .upper = 58,
					 .payload = SOLICIT,
					 .dst = GROUP,
					 .dst_mac = GROUP_MAC});
	ip = sent6(f, OUR6, PEER6);
	assert_int_equal(ip[7], 255);
	assert_int_equal(ip[40], ICMP6_ADVERTISEMENT);
	assert_int_equal(be32_load(ip + 44), ND_SOLICITED | ND_OVERRIDE);
	assert_memory_equal(ip + 64, "\x02\x01\x02\x00\x00\x00\x00\x02", 8);
	// Who has no address yet is answered by telling all.
	fixture_clear_sent(f);
	(void)input6(f, &(struct frame6){
				.next = 58,
				.upper = 58,
				.src = "::",
				.dst = GROUP,
				.dst_mac = GROUP_MAC,
				.payload = "87000000 00000000 fd000099000000000000000000000002"});
	ip = sent6(f, OUR6, "ff02::1");
	assert_int_equal(be32_load(ip + 44), ND_OVERRIDE);
	assert_memory_equal(f->sent[0].data, "\x33\x33\x00\x00\x00\x01", 6);
}

static void test_unknown_host_is_asked_for_and_learnt(void **state)
{
	struct fixture *f = *state;
	struct ip_addr host = addr6("fd00:99::9");
	bool resolved;
	const uint8_t *ip;

	(void)ip_peer(f->ip, &host, f->now_ns, &resolved);
	assert_false(resolved);
	ip = sent6(f, OUR6, "ff02::1:ff00:9");
	assert_int_equal(ip[40], ICMP6_SOLICITATION);
	assert_memory_equal(f->sent[0].data, "\x33\x33\xff\x00\x00\x09", 6);
	assert_memory_equal(ip + 48, host.bytes, 16);
	fixture_clear_sent(f);
	assert_int_equal(input6(f, &(struct frame6){.next = 58, .upper = 58, .payload = ADVERTISE}),
			 IP_DONE);
	(void)ip_peer(f->ip, &host, f->now_ns, &resolved);
	assert_true(resolved);
	// Without "override" another MAC address changes nothing (RFC 4861 7.2.5).
	(void)input6(f,
		     &(struct frame6){.next = 58,
				      .upper = 58,
				      .payload = "88000000 40000000" TARGET9 "0201020000000bad"});
	assert_int_equal(neigh_generation(f->neighbours), 0);
	(void)input6(f,
		     &(struct frame6){.next = 58,
				      .upper = 58,
				      .payload = "88000000 60000000" TARGET9 "0201020000000bad"});
	assert_int_equal(neigh_generation(f->neighbours), 1);
}

static void test_other_networks_are_reached_by_the_gateway(void **state)
{
	struct fixture *f = *state;
	struct ip_addr far = addr6("2001:db8::1");
	bool resolved;

	(void)ip_peer(f->ip, &far, f->now_ns, &resolved);
	// A link-local router is asked for from our link-local address.
	(void)sent6(f, OUR6_LOCAL, "ff02::1:ff00:fe");
}

static void test_errors_find_their_flow(void **state)
{
	// "Too big" about a segment of ours, from a router.
	static const char too_big[] =
		"02000000 00000500 60000000 0014 06 40"
		"fd000099000000000000000000000002 fd000099000000000000000000000001"
		"18eb9c40 00000001 00000000 50100000 00000000";
	struct fixture *f = *state;
	uint32_t steered;

	assert_int_equal(input6(f, &(struct frame6){.next = 58,
						    .upper = 58,
						    .payload = too_big,
						    .src = "fd00:99::fe"}),
			 IP_ERROR);
	assert_int_equal(f->packet.flow.local_port, 6379);
	assert_int_equal(f->packet.flow.remote_port, 40000);
	assert_int_equal(f->packet.protocol, IP_PROTOCOL_TCP);
	assert_true(ip_flow_hash(&f->in, &steered));
	assert_int_equal(steered, f->packet.hash);
}

static void test_closed_udp_port_is_reported(void **state)
{
	struct fixture *f = *state;
	const uint8_t *ip;

	assert_int_equal(input6(f, &(struct frame6){.next = 17, .upper = 17, .payload = UDP}),
			 IP_UDP);
	ip_port_unreachable(f->ip, &f->in, f->now_ns);
	ip = sent6(f, OUR6, PEER6);
	assert_int_equal(be16_load(ip + 40), ICMP6_UNREACHABLE << 8 | ICMP6_CODE_PORT);
	assert_memory_equal(ip + 48, f->in.data + 14, 40 + 10);
}

static void test_allow_from_counts_strangers(void **state)
{
	struct fixture *f = *state;
	struct frame6 syn = {.next = 6, .upper = 6, .payload = TCP_SYN};

	f->ip->allowed_count = 1;
	f->ip->allowed[0] = (struct ip_network){addr6("fd00:99::"), 33};
	assert_int_equal(input6(f, &syn), IP_TCP);
	f->ip->allowed[0] = (struct ip_network){addr6("fd00:99:8000::"), 33};
	assert_int_equal(input6(f, &syn), IP_DONE);
	assert_string_equal(fixture_drops(f), "ip_not_allowed");
}

static void test_start_is_announced(void **state)
{
	struct fixture *f = *state;

	ip_tick(f->ip, f->now_ns);
	// ARP, the groups that we listen to, both IPv6 addresses; the two gateways.
	assert_int_equal(f->sent_count, 4 + 2);
}

#define ROUTER_ALERT "3a00050200000100"
#define QUERY        "8200000027100000 00000000000000000000000000000000"
#define OUR_GROUP    "ff0200000000000000000001ff000002"

/* RFC 3810 6.2, 8.2.1 and what RFC 3810 6.2 says to ignore. */
static const struct {
	const char *name;
	struct frame6 frame;
	const char *drops;
	const char *dst;    // of the answer, NULL: none
	const char *answer; // hex of it, but for its checksum
} queries[] = {
	{"about all groups",
	 {.payload = QUERY "02000000", .dst = "ff02::1"},
	 "",
	 "ff02::16",
	 "8f00 00000001 02000000" OUR_GROUP},
	{"about ours",
	 {.payload = "8200000000000000" OUR_GROUP "02000000", .dst = GROUP},
	 "",
	 "ff02::16",
	 "8f00 00000001 02000000" OUR_GROUP},
	{"of version 1",
	 {.payload = QUERY, .dst = "ff02::1"},
	 "",
	 GROUP,
	 "8300 00000000" OUR_GROUP},
	{"about another group",
	 {.payload = "8200000000000000 ff0200000000000000000001ff000003 02000000"},
	 "",
	 NULL,
	 NULL},
	{"too short", {.payload = "8200000027100000"}, "icmp_bad", NULL, NULL},
	{"from beyond the link", {.payload = QUERY, .hop_limit = 2}, "icmp_bad", NULL, NULL},
	{"from a global address", {.payload = QUERY, .src = PEER6}, "icmp_bad", NULL, NULL},
	{"without router alert",
	 {.payload = QUERY, .next = IP_PROTOCOL_ICMP6},
	 "icmp_bad",
	 NULL,
	 NULL},
};

static void test_listened_groups_are_reported(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(queries); i++) {
		struct frame6 frame = queries[i].frame;
		uint8_t expected[64], message[64];
		const uint8_t *ip;
		uint32_t len;

		print_message("%s\n", queries[i].name);
		fixture_clear_sent(f);
		fixture_drops(f);
		frame.upper = IP_PROTOCOL_ICMP6;
		frame.src = frame.src ? frame.src : "fe80::1";
		frame.hop_limit = frame.hop_limit ? frame.hop_limit : 1;
		frame.dst_mac = frame.dst ? "333300000001" : NULL;
		if (frame.next != IP_PROTOCOL_ICMP6)
			frame.before = ROUTER_ALERT;
		f->now_ns += 11 * 1000000000ull;
		assert_int_equal(input6(f, &frame), IP_DONE);
		assert_string_equal(fixture_drops(f), queries[i].drops);
		assert_int_equal(f->sent_count, queries[i].dst != NULL);
		if (!queries[i].dst)
			continue;
		ip = sent6(f, OUR6_LOCAL, queries[i].dst);
		assert_int_equal(ip[7], 1);
		len = hex6(queries[i].answer, expected);
		memcpy(message, ip + 48, 2);
		memcpy(message + 2, ip + 52, len - 2);
		assert_memory_equal(message, expected, len);
	}
}

static void test_queries_cannot_make_a_storm(void **state)
{
	struct fixture *f = *state;
	const struct frame6 query = {.payload = QUERY "02000000",
				     .dst_mac = "333300000001",
				     .before = ROUTER_ALERT,
				     .upper = IP_PROTOCOL_ICMP6,
				     .src = "fe80::1",
				     .dst = "ff02::1",
				     .hop_limit = 1};

	f->now_ns += 11 * 1000000000ull;
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(input6(f, &query), IP_DONE);
	assert_in_range(f->sent_count, 1, 200);
	fixture_clear_sent(f);
}

static int setup_vlan(void **state)
{
	struct ip_config config = fixture_config();

	config.address6 = addr6(OUR6);
	config.prefix6_len = 64;
	config.vlan = 7;
	return fixture_setup_as(state, &config);
}

static void test_only_our_vlan_is_heard_and_answered(void **state)
{
	static const struct {
		const char *vlan;
		enum ip_verdict verdict;
		const char *drops;
	} tags[] = {
		{"0007", IP_TCP, ""},          {"e007", IP_TCP, ""}, // with a priority
		{"0008", IP_DONE, "eth_vlan"}, {"0000", IP_DONE, "eth_vlan"},
		{NULL, IP_DONE, "eth_vlan"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(tags); i++) {
		struct frame6 syn = {
			.next = 6, .upper = 6, .payload = TCP_SYN, .vlan = tags[i].vlan};
		uint32_t hash;

		fixture_drops(f);
		assert_int_equal(input6(f, &syn), tags[i].verdict);
		assert_string_equal(fixture_drops(f), tags[i].drops);
		assert_true(ip_flow_hash(&f->in, &hash));
		if (tags[i].verdict != IP_TCP)
			continue;
		assert_int_equal(hash, f->packet.hash);
		assert_true(answer(f));
		(void)sent6(f, OUR6, PEER6);
		assert_int_equal(f->sent[0].l2_len, 18);
		assert_memory_equal(f->sent[0].data + 12, "\x81\x00\x00\x07\x86\xdd", 6);
	}
}

static void test_tag_that_the_port_took_off_counts(void **state)
{
	struct fixture *f = *state;
	struct frame6 syn = {.next = 6, .upper = 6, .payload = TCP_SYN};

	(void)input6(f, &syn); // untagged, as the port shows it
	assert_string_equal(fixture_drops(f), "eth_vlan");
	f->in.has_vlan = true;
	f->in.vlan = 0xe007;
	assert_int_equal(ip_input(f->ip, &f->in, f->now_ns, &f->packet), IP_TCP);
	f->in.vlan = 8;
	assert_int_equal(ip_input(f->ip, &f->in, f->now_ns, &f->packet), IP_DONE);
	assert_string_equal(fixture_drops(f), "eth_vlan");
}

static void test_arp_is_answered_in_our_vlan(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_input_hex(f, "ffffffffffff 020000000001 8100 0007 0806"
					      "0001080006040001 020000000001 0a630001"
					      "000000000000 0a630002"),
			 IP_DONE);
	assert_int_equal(fixture_one_sent(f)->len, 18 + 28);
	assert_memory_equal(f->sent[0].data + 12, "\x81\x00\x00\x07\x08\x06", 6);
}

static int setup_plain(void **state)
{
	return fixture_setup(state);
}

static void test_tag_of_no_vlan_is_only_a_priority(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_input_hex(f, "ffffffffffff 020000000001 8100 e000 0806"
					      "0001080006040001 020000000001 0a630001"
					      "000000000000 0a630002"),
			 IP_DONE);
	assert_int_equal(fixture_one_sent(f)->len, 14 + 28);
	// And without an IPv6 address there is no IPv6.
	assert_int_equal(input6(f, &(struct frame6){.next = 58, .upper = 58, .payload = ECHO}),
			 IP_DONE);
	assert_string_equal(fixture_drops(f), "eth_type");
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_frame_has_its_verdict, setup),
		TEST(test_packet_says_who_and_what, setup),
		TEST(test_answer_goes_back_from_the_address_it_came_to, setup),
		TEST(test_echo_is_answered, setup),
		TEST(test_solicitation_is_answered, setup),
		TEST(test_unknown_host_is_asked_for_and_learnt, setup),
		TEST(test_other_networks_are_reached_by_the_gateway, setup),
		TEST(test_errors_find_their_flow, setup),
		TEST(test_closed_udp_port_is_reported, setup),
		TEST(test_allow_from_counts_strangers, setup),
		TEST(test_start_is_announced, setup),
		TEST(test_listened_groups_are_reported, setup),
		TEST(test_queries_cannot_make_a_storm, setup),
		TEST(test_only_our_vlan_is_heard_and_answered, setup_vlan),
		TEST(test_tag_that_the_port_took_off_counts, setup_vlan),
		TEST(test_arp_is_answered_in_our_vlan, setup_vlan),
		TEST(test_tag_of_no_vlan_is_only_a_priority, setup_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
