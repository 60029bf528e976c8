/* SPDX-License-Identifier: BSD-3-Clause */
#include "nic/port/port_internal.h"

#include <rte_dev.h>
#include <rte_errno.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * From the text that names a device to a DPDK ethdev, and back. Called by port_open() and
 * port_close(). Most of it is finding out what to tell the user when that fails. Main thread.
 */

#define DEVICE_NAME_MAX 64

static int attach_virtual(const char *device, const char *name, uint16_t *id, char *why);
static int attach_pci(const char *device, const char *name, uint16_t *id, char *why);
static int explain_pci(const char *name, char *why);

bool port_device_is_virtual(const char *device)
{
	return strncmp(device, "net_", 4) == 0;
}

int port_device_attach(const char *device, uint16_t *id, char *why)
{
	char name[DEVICE_NAME_MAX];
	size_t len = strcspn(device, ",");

	if (len == 0 || len >= sizeof(name))
		return port_fail(-EINVAL, why, "'%s' is no device name", device);
	memcpy(name, device, len);
	name[len] = '\0';
	if (port_pair_is(name))
		return port_pair_attach(device, id, why);
	if (port_device_is_virtual(name))
		return attach_virtual(device, name, id, why);
	return attach_pci(device, name, id, why);
}

void port_device_detach(uint16_t id)
{
	struct rte_eth_dev_info info;
	bool known = rte_eth_dev_info_get(id, &info) == 0;
	char name[RTE_ETH_NAME_MAX_LEN] = "";

	rte_eth_dev_get_name_by_port(id, name);
	rte_eth_dev_close(id);
	// Virtual devices own kernel objects (sockets, taps, XDP programs), which go only with the
	// device.
	if (known && info.device)
		rte_dev_remove(info.device);
	if (port_pair_is(name))
		port_pair_detach(name);
}

static int attach_virtual(const char *device, const char *name, uint16_t *id, char *why)
{
	const char *comma = strchr(device, ',');
	int rc = rte_eal_hotplug_add("vdev", name, comma ? comma + 1 : "");

	if (rc == 0 && rte_eth_dev_get_port_by_name(name, id) == 0)
		return 0;
	if (rc == 0) {
		rte_eal_hotplug_remove("vdev", name);
		return port_fail(-ENODEV, why, "'%s' is not an Ethernet device", name);
	}
	if (rc == -EEXIST)
		return port_fail(rc, why, "%s is in use twice: number the devices, %s and so on",
				 name, "net_tap0, net_tap1");
	if (geteuid() != 0)
		return port_fail(rc, why, "%s does not open; it probably needs root", name);
	if (strncmp(name, "net_tap", 7) == 0 && access("/dev/net/tun", R_OK | W_OK) != 0)
		return port_fail(rc, why, "%s needs /dev/net/tun, which is not there: modprobe tun",
				 name);
	return port_fail(rc, why, "%s does not open: check its name and options in nic-device (%s)",
			 name, rte_strerror(rc < 0 ? -rc : rte_errno));
}

static int attach_pci(const char *device, const char *name, uint16_t *id, char *why)
{
	if (rte_eth_dev_get_port_by_name(name, id) == 0)
		return 0;
	// Closed before in this process: probe it again.
	if (rte_dev_probe(device) == 0 && rte_eth_dev_get_port_by_name(name, id) == 0)
		return 0;
	return explain_pci(name, why);
}

static int explain_pci(const char *name, char *why)
{
	char path[128];
	char target[PATH_MAX];
	struct stat st;
	const char *driver;
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", name);
	if (stat(path, &st) != 0)
		return port_fail(-ENODEV, why,
				 "there is no PCI device %s: lspci -D lists those that are, in the "
				 "form 0000:3b:00.0",
				 name);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", name);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return port_fail(
			-ENODEV, why,
			"PCI device %s has no driver: bind it with dpdk-devbind.py -b vfio-pci %s",
			name, name);
	target[len] = '\0';
	driver = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (strcmp(driver, "vfio-pci") != 0 && strncmp(driver, "mlx", 3) != 0 &&
	    strncmp(driver, "uio_", 4) != 0)
		return port_fail(-ENODEV, why,
				 "PCI device %s belongs to the kernel's driver %s: bind it with "
				 "dpdk-devbind.py -b vfio-pci %s",
				 name, driver, name);
	return port_fail(-ENODEV, why,
			 "DPDK cannot drive PCI device %s (driver %s): is it a network device, is "
			 "/dev/vfio there, is the IOMMU on, are you root?",
			 name, driver);
}
