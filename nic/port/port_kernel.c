/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/port/port_internal.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * AF_XDP and AF_PACKET ports sit on an interface of the kernel. This file looks at it before the
 * driver does (its complaints are hard to read), brings it up, and puts it back as it was. Called
 * by port_open.c. Main thread.
 */

static int link_ioctl(struct port_kernel_link *link, unsigned long request, struct ifreq *ifr);

/* Copies the value of iface= out of a device string; false when there is none. */
static bool iface_option(const char *device, char *name, size_t size)
{
	const char *at = strstr(device, ",iface=");
	size_t len;

	if (!at)
		return false;
	at += strlen(",iface=");
	len = strcspn(at, ",");
	if (len >= size)
		len = size - 1;
	memcpy(name, at, len);
	name[len] = '\0';
	return true;
}

int port_kernel_prepare(const char *device, struct port_kernel_link *link, char *why)
{
	struct ifreq ifr;

	memset(link, 0, sizeof(*link));
	if (strncmp(device, "net_af_", 7) != 0)
		return 0;
	if (!iface_option(device, link->name, sizeof(link->name)))
		return port_fail(-EINVAL, why, "'%s' needs an interface: add ,iface=NAME", device);
	if (if_nametoindex(link->name) == 0) {
		int rc = port_fail(-ENODEV, why,
				   "there is no network interface '%s': ip link lists those "
				   "that are",
				   link->name);

		link->name[0] = '\0';
		return rc;
	}
	if (link_ioctl(link, SIOCGIFMTU, &ifr) == 0)
		link->mtu = (uint16_t)(ifr.ifr_mtu > UINT16_MAX ? UINT16_MAX : ifr.ifr_mtu);
	return 0;
}

int port_kernel_up(struct port_kernel_link *link, char *why)
{
	struct ifreq ifr;
	int rc;

	if (link->name[0] == '\0')
		return 0;
	rc = link_ioctl(link, SIOCGIFFLAGS, &ifr);
	if (rc == 0 && !(ifr.ifr_flags & IFF_UP)) {
		ifr.ifr_flags |= IFF_UP;
		rc = link_ioctl(link, SIOCSIFFLAGS, &ifr);
		link->brought_up = rc == 0;
	}
	if (rc != 0)
		return port_fail(rc, why, "interface '%s' does not come up: %s", link->name,
				 strerror(-rc));
	return 0;
}

void port_kernel_restore(struct port_kernel_link *link)
{
	struct ifreq ifr;

	if (link->name[0] == '\0')
		return;
	if (link->mtu_before != 0 && link_ioctl(link, SIOCGIFMTU, &ifr) == 0) {
		ifr.ifr_mtu = link->mtu_before;
		link_ioctl(link, SIOCSIFMTU, &ifr);
		link->mtu_before = 0;
	}
	if (link->brought_up && link_ioctl(link, SIOCGIFFLAGS, &ifr) == 0) {
		ifr.ifr_flags &= (short)~IFF_UP;
		link_ioctl(link, SIOCSIFFLAGS, &ifr);
		link->brought_up = false;
	}
}

static int link_ioctl(struct port_kernel_link *link, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (request == SIOCGIFMTU || request == SIOCGIFFLAGS)
		memset(ifr, 0, sizeof(*ifr));
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", link->name);
	if (ioctl(fd, request, ifr) != 0)
		rc = -errno;
	close(fd);
	return rc;
}
