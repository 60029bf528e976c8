/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "ctrl/config/config_table.h"

/* One directive's value from text to its field and back; inside ctrl/config only. */

/*
 * False, *config untouched, with a reason in `why` (CONFIG_WHY_MAX bytes). The reasons are redis'
 * words.
 */
MUST_USE bool config_value_parse(const struct config_directive *directive, const char *text,
				 struct config *config, char *why);

/* The value as CONFIG GET shows it. */
void config_value_format(const struct config_directive *directive, const struct config *config,
			 char text[CONFIG_VALUE_MAX]);

/* Writes the reason, of up to CONFIG_WHY_MAX bytes, and returns false. */
bool config_refuse(char *why, const char *format, ...) PRINTF(2, 3);

/* Checks that config.def names: config_parse.c. */
bool config_check_any(const char *value, char *why);
bool config_check_ip4(const char *value, char *why);
bool config_check_ip4_or_empty(const char *value, char *why);
bool config_check_ip6_or_empty(const char *value, char *why);
bool config_check_cidr(const char *value, char *why);
bool config_check_cidr6(const char *value, char *why);
bool config_check_networks(const char *value, char *why);
bool config_check_nodes(const char *value, char *why);
bool config_check_cores(const char *value, char *why);
bool config_check_file_name(const char *value, char *why);
bool config_check_saves(const char *value, char *why);
bool config_check_replicaof(const char *value, char *why);
bool config_check_window(const char *value, char *why);
