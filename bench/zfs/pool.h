/*
 * What zlfuse and zpoolbench share: OpenZFS' engine out of libzpool, and a pool on one file.
 *
 *   engine_start --> pool_create: vdev file, all features, checksum, no compression --> dataset, encrypted with `wkey` or not
 */
#include <sys/zfs_context.h>
#include <sys/spa.h>
#include <sys/dmu.h>
#include <sys/txg.h>
#include <sys/zap.h>
#include <sys/zil.h>
#include <sys/dsl_prop.h>
#include <sys/dsl_crypt.h>
#include <sys/zio_checksum.h>
#include <sys/zio_compress.h>
#include <sys/zfs_impl.h>
#include <sys/fs/zfs.h>
#include <zfeature_common.h>
#include <zfs_prop.h>
#include <libnvpair.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <time.h>

extern int aes_impl_set(const char *), gcm_impl_set(const char *);

/* the key of every benchmark's pool; nothing in it is secret */
static uint8_t wkey[WRAPPING_KEY_LEN] = { 7, 1, 2, 3 };

/* the fastest implementations this processor has; those it lacks are refused, and the default stays */
static void engine_start(void)
{
	kernel_init(SPA_MODE_READ | SPA_MODE_WRITE);
	(void) aes_impl_set("aesni"); (void) gcm_impl_set("avx");
	(void) zfs_impl_get_ops("sha256")->setname("shani"); (void) zfs_impl_get_ops("blake3")->setname("avx2");
}

/* what a dataset is encrypted with, or, unless it is to be created, opened with */
static dsl_crypto_params_t *crypto_params(int create)
{
	dsl_crypto_params_t *dcp;
	nvlist_t *args = fnvlist_alloc(), *props = create ? fnvlist_alloc() : NULL;
	fnvlist_add_uint8_array(args, "wkeydata", wkey, WRAPPING_KEY_LEN);
	if (create) {
		fnvlist_add_uint64(props, zfs_prop_to_name(ZFS_PROP_ENCRYPTION), ZIO_CRYPT_AES_256_GCM);
		fnvlist_add_uint64(props, zfs_prop_to_name(ZFS_PROP_KEYFORMAT), ZFS_KEYFORMAT_RAW);
		fnvlist_add_string(props, zfs_prop_to_name(ZFS_PROP_KEYLOCATION), "prompt");
		fnvlist_add_uint64(props, zfs_prop_to_name(ZFS_PROP_PBKDF2_SALT), 0ULL);
		fnvlist_add_uint64(props, zfs_prop_to_name(ZFS_PROP_PBKDF2_ITERS), 0ULL);
	}
	VERIFY0(dsl_crypto_params_create_nvlist(DCP_CMD_NONE, props, args, &dcp));
	return (dcp);
}

/* makes `file` of `bytes` bytes, and on it a pool with every feature and one dataset; `checksum` is sha256, blake3 or fletcher4 */
static void pool_create(const char *pool, const char *ds, const char *file, uint64_t bytes, int enc, const char *checksum,
    void (*fill)(objset_t *, void *, cred_t *, dmu_tx_t *), void *tag, spa_t **spa)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	VERIFY0(ftruncate(fd, bytes));
	close(fd);
	nvlist_t *disk = fnvlist_alloc(), *root = fnvlist_alloc(), *features = fnvlist_alloc();
	fnvlist_add_string(disk, ZPOOL_CONFIG_TYPE, VDEV_TYPE_FILE);
	fnvlist_add_string(disk, ZPOOL_CONFIG_PATH, file);
	fnvlist_add_uint64(disk, ZPOOL_CONFIG_ASHIFT, 12);
	fnvlist_add_uint64(disk, ZPOOL_CONFIG_IS_LOG, 0);
	fnvlist_add_string(root, ZPOOL_CONFIG_TYPE, VDEV_TYPE_ROOT);
	const nvlist_t *children[1] = { disk };
	fnvlist_add_nvlist_array(root, ZPOOL_CONFIG_CHILDREN, children, 1);
	for (int i = 0; i < SPA_FEATURES; i++) {
		char name[256];
		if (!spa_feature_table[i].fi_zfs_mod_supported) continue;
		snprintf(name, sizeof (name), "feature@%s", spa_feature_table[i].fi_uname);
		fnvlist_add_uint64(features, name, 0);
	}
	VERIFY0(spa_create(pool, root, features, NULL, NULL));
	VERIFY0(spa_open(pool, spa, tag));
	VERIFY0(dsl_prop_set_int(pool, "checksum", ZPROP_SRC_LOCAL, !strcmp(checksum, "sha256") ? ZIO_CHECKSUM_SHA256 :
	    !strcmp(checksum, "blake3") ? ZIO_CHECKSUM_BLAKE3 : ZIO_CHECKSUM_FLETCHER_4));
	VERIFY0(dsl_prop_set_int(pool, "compression", ZPROP_SRC_LOCAL, ZIO_COMPRESS_OFF));
	VERIFY0(dmu_objset_create(ds, DMU_OST_OTHER, 0, enc ? crypto_params(1) : NULL, fill, NULL));
}

/* opens the dataset, with its key if it has one */
static objset_t *pool_own(const char *ds, void *tag)
{
	objset_t *os;
	int e = dmu_objset_own(ds, DMU_OST_OTHER, B_FALSE, B_TRUE, tag, &os);
	if (e == EACCES) {
		VERIFY0(spa_keystore_load_wkey(ds, crypto_params(0), B_FALSE));
		e = dmu_objset_own(ds, DMU_OST_OTHER, B_FALSE, B_TRUE, tag, &os);
	}
	VERIFY0(e);
	return (os);
}
