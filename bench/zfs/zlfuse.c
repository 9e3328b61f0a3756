/*
 * zlfuse: a small POSIX front end over libzpool through FUSE (low-level API): OpenZFS engine
 * (DMU/ZIO/ARC/ZIL, real encryption and checksums), our own thin file layer instead of the ZPL:
 * directory = ZAP object, file = DMU object, attributes in the bonus buffer, ZIL record per write
 * and per create, fsync = zil_commit.  Benchmark comparator only (no replay, no ACL, no xattr).
 * usage: zlfuse create|import FILE SIZE_MB enc|plain CHECKSUM RECSIZE MOUNTPOINT [writeback]
 */
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include "pool.h"
#include <libzutil.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static const char *POOL = "zlpool", *DS = "zlpool/ds", *file;
static uint64_t recsize = 131072;
static spa_t *spa; static objset_t *os; static zilog_t *zl;
static int wback;
#define	DIROBJ	1
#define	TAG ((void *)"zl")
typedef struct { uint64_t mode, nlink, uid, gid, size, gen, parent; int64_t at[2], mt[2], ct[2]; uint64_t pad[8]; } ino_t_;
#define	NL 4096
static pthread_rwlock_t lk[NL];
static uint32_t opens[1 << 22];		/* open count by object number (mod) */
static uint8_t dead[1 << 22];
#define	H(i) ((i) & ((1 << 22) - 1))
static uint64_t gen;
static void rl(uint64_t i) { pthread_rwlock_rdlock(&lk[i % NL]); }
static void wl(uint64_t i) { pthread_rwlock_wrlock(&lk[i % NL]); }
static void ul(uint64_t i) { pthread_rwlock_unlock(&lk[i % NL]); }

static void get_done(zgd_t *z, int e) { (void) e; if (z->zgd_db) dmu_buf_rele(z->zgd_db, z); umem_free(z, sizeof (*z)); }
static int get_data(void *arg, uint64_t a2, lr_write_t *lr, char *buf, struct lwb *lwb, zio_t *zio)
{
	(void) arg; (void) a2;
	if (buf != NULL)
		return (dmu_read(os, lr->lr_foid, lr->lr_offset, lr->lr_length, buf, DMU_READ_NO_PREFETCH));
	dmu_object_info_t doi;
	int e = dmu_object_info(os, lr->lr_foid, &doi);
	if (e) return (e);
	uint64_t bs = doi.doi_data_block_size, off = lr->lr_offset - lr->lr_offset % bs;
	zgd_t *z = umem_zalloc(sizeof (*z), UMEM_NOFAIL);
	dmu_buf_t *db;
	z->zgd_lwb = lwb;
	e = dmu_buf_hold_noread(os, lr->lr_foid, off, z, &db);
	if (e == 0) {
		z->zgd_db = db; z->zgd_bp = &lr->lr_blkptr;
		e = dmu_sync(zio, lr->lr_common.lrc_txg, get_done, z);
		if (e == 0) return (0);
		if (e == EALREADY) { lr->lr_common.lrc_txtype = TX_WRITE2; e = 0; }
	}
	get_done(z, e);
	return (e);
}
static void nowt(int64_t *t) { struct timespec s; clock_gettime(CLOCK_REALTIME, &s); t[0] = s.tv_sec; t[1] = s.tv_nsec; }
static void create_cb(objset_t *o, void *arg, cred_t *cr, dmu_tx_t *tx)
{
	(void) arg; (void) cr;
	dmu_buf_t *db; ino_t_ *n;
	VERIFY0(zap_create_claim(o, DIROBJ, DMU_OT_DIRECTORY_CONTENTS, DMU_OT_SA, sizeof (ino_t_), tx));
	VERIFY0(dmu_bonus_hold(o, DIROBJ, TAG, &db));
	dmu_buf_will_dirty(db, tx);
	n = db->db_data; memset(n, 0, sizeof (*n));
	n->mode = S_IFDIR | 0755; n->nlink = 2; n->parent = 1; nowt(n->at); nowt(n->mt); nowt(n->ct);
	dmu_buf_rele(db, TAG);
}
static void own(void)
{
	os = pool_own(DS, TAG);
	zl = zil_open(os, get_data, NULL);
	/* importing claimed the log of the last mount; drop it, as zil_replay() does when there is nothing to replay */
	if (zil_destroy(zl, B_TRUE)) txg_wait_synced(spa_get_dsl(spa), 0);
}
static int rdino(uint64_t i, ino_t_ *n)
{
	dmu_buf_t *db; int e = dmu_bonus_hold(os, i, TAG, &db);
	if (e) return (e);
	*n = *(ino_t_ *)db->db_data; dmu_buf_rele(db, TAG); return (0);
}
static void st(uint64_t i, ino_t_ *n, struct stat *s)
{
	memset(s, 0, sizeof (*s));
	s->st_ino = i; s->st_mode = n->mode; s->st_nlink = n->nlink; s->st_uid = n->uid; s->st_gid = n->gid;
	s->st_size = n->size; s->st_blocks = (n->size + 511) / 512; s->st_blksize = 131072;
	s->st_atim.tv_sec = n->at[0]; s->st_atim.tv_nsec = n->at[1]; s->st_mtim.tv_sec = n->mt[0]; s->st_mtim.tv_nsec = n->mt[1];
	s->st_ctim.tv_sec = n->ct[0]; s->st_ctim.tv_nsec = n->ct[1];
}
static void ent(uint64_t i, ino_t_ *n, struct fuse_entry_param *e)
{
	memset(e, 0, sizeof (*e)); e->ino = i; e->generation = n->gen; e->attr_timeout = e->entry_timeout = 1.0; st(i, n, &e->attr);
}
static void logname(int type, uint64_t dir, uint64_t obj, const char *nm, dmu_tx_t *tx)
{
	size_t l = strlen(nm) + 1;
	itx_t *itx = zil_itx_create(type, sizeof (lr_create_t) + l);
	lr_create_t *lr = (lr_create_t *)&itx->itx_lr;
	memset((char *)lr + sizeof (lr_t), 0, sizeof (*lr) - sizeof (lr_t));
	lr->lr_create.lr_doid = dir; lr->lr_create.lr_foid = obj;
	memcpy((char *)lr + sizeof (*lr), nm, l);
	itx->itx_sync = B_TRUE; itx->itx_oid = 0;
	zil_itx_assign(zl, itx, tx);
}
static void l_lookup(fuse_req_t r, fuse_ino_t p, const char *nm)
{
	uint64_t o; ino_t_ n; struct fuse_entry_param e;
	rl(p); int x = zap_lookup(os, p, nm, 8, 1, &o); ul(p);
	if (x == 0) x = rdino(o, &n);
	if (x) { fuse_reply_err(r, x); return; }
	ent(o, &n, &e); fuse_reply_entry(r, &e);
}
static void l_getattr(fuse_req_t r, fuse_ino_t i, struct fuse_file_info *f)
{
	(void) f; ino_t_ n; struct stat s; int x = rdino(i, &n);
	if (x) { fuse_reply_err(r, x); return; }
	st(i, &n, &s); fuse_reply_attr(r, &s, 1.0);
}
static void l_setattr(fuse_req_t r, fuse_ino_t i, struct stat *a, int m, struct fuse_file_info *f)
{
	(void) f; dmu_buf_t *db; ino_t_ n; struct stat s; uint64_t old = 0;
	wl(i);
	int x = dmu_bonus_hold(os, i, TAG, &db);
	if (x == ENOENT) {	/* with the writeback cache the kernel still writes the times of a file back that is gone */
		ul(i); memset(&s, 0, sizeof (s)); s.st_ino = i; s.st_mode = S_IFREG | 0600; fuse_reply_attr(r, &s, 0); return;
	}
	if (x) { ul(i); fuse_reply_err(r, x); return; }
	dmu_tx_t *tx = dmu_tx_create(os); dmu_tx_hold_bonus(tx, i); VERIFY0(dmu_tx_assign(tx, DMU_TX_WAIT));
	dmu_buf_will_dirty(db, tx); ino_t_ *p = db->db_data; old = p->size;
	if (m & FUSE_SET_ATTR_MODE) p->mode = a->st_mode;
	if (m & FUSE_SET_ATTR_UID) p->uid = a->st_uid;
	if (m & FUSE_SET_ATTR_GID) p->gid = a->st_gid;
	if (m & FUSE_SET_ATTR_SIZE) { p->size = a->st_size; nowt(p->mt); }
	if (m & FUSE_SET_ATTR_ATIME) { p->at[0] = a->st_atim.tv_sec; p->at[1] = a->st_atim.tv_nsec; }
	if (m & FUSE_SET_ATTR_MTIME) { p->mt[0] = a->st_mtim.tv_sec; p->mt[1] = a->st_mtim.tv_nsec; }
	if (m & FUSE_SET_ATTR_ATIME_NOW) nowt(p->at);
	if (m & FUSE_SET_ATTR_MTIME_NOW) nowt(p->mt);
	nowt(p->ct); n = *p; dmu_tx_commit(tx); dmu_buf_rele(db, TAG);
	if ((m & FUSE_SET_ATTR_SIZE) && n.size < old) (void) dmu_free_long_range(os, i, n.size, DMU_OBJECT_END);
	ul(i); st(i, &n, &s); fuse_reply_attr(r, &s, 1.0);
}
static int mk(fuse_req_t r, uint64_t p, const char *nm, mode_t mode, const char *lnk, uint64_t *op, ino_t_ *np)
{
	uint64_t o; dmu_buf_t *db; int x; const struct fuse_ctx *c = fuse_req_ctx(r);
	wl(p);
	if (zap_lookup(os, p, nm, 8, 1, &o) == 0) { ul(p); return (EEXIST); }
	dmu_tx_t *tx = dmu_tx_create(os);
	if (S_ISDIR(mode)) dmu_tx_hold_zap(tx, DMU_NEW_OBJECT, B_TRUE, NULL); else dmu_tx_hold_bonus(tx, DMU_NEW_OBJECT);
	if (lnk) dmu_tx_hold_write(tx, DMU_NEW_OBJECT, 0, strlen(lnk));
	dmu_tx_hold_zap(tx, p, B_TRUE, nm); dmu_tx_hold_bonus(tx, p);
	if ((x = dmu_tx_assign(tx, DMU_TX_WAIT))) { dmu_tx_abort(tx); ul(p); return (x); }
	if (S_ISDIR(mode)) o = zap_create(os, DMU_OT_DIRECTORY_CONTENTS, DMU_OT_SA, sizeof (ino_t_), tx);
	else o = dmu_object_alloc(os, DMU_OT_PLAIN_FILE_CONTENTS, 512, DMU_OT_SA, sizeof (ino_t_), tx);
	VERIFY0(dmu_bonus_hold(os, o, TAG, &db)); dmu_buf_will_dirty(db, tx);
	ino_t_ *n = db->db_data; memset(n, 0, sizeof (*n));
	n->mode = mode; n->nlink = S_ISDIR(mode) ? 2 : 1; n->uid = c->uid; n->gid = c->gid; n->parent = p; n->gen = atomic_inc_64_nv(&gen);
	nowt(n->at); memcpy(n->mt, n->at, 16); memcpy(n->ct, n->at, 16);
	if (lnk) { n->size = strlen(lnk); dmu_write(os, o, 0, n->size, lnk, tx); }
	*np = *n; dmu_buf_rele(db, TAG);
	VERIFY0(zap_add(os, p, nm, 8, 1, &o, tx));
	VERIFY0(dmu_bonus_hold(os, p, TAG, &db)); dmu_buf_will_dirty(db, tx); n = db->db_data; nowt(n->mt); n->size++; if (S_ISDIR(mode)) n->nlink++; dmu_buf_rele(db, TAG);
	logname(S_ISDIR(mode) ? TX_MKDIR : TX_CREATE, p, o, nm, tx);
	dmu_tx_commit(tx); ul(p); dead[H(o)] = 0; *op = o; return (0);
}
static void l_mkdir(fuse_req_t r, fuse_ino_t p, const char *nm, mode_t m)
{
	uint64_t o; ino_t_ n; struct fuse_entry_param e; int x = mk(r, p, nm, S_IFDIR | (m & 07777), NULL, &o, &n);
	if (x) { fuse_reply_err(r, x); return; }
	ent(o, &n, &e); fuse_reply_entry(r, &e);
}
static void l_symlink(fuse_req_t r, const char *t, fuse_ino_t p, const char *nm)
{
	uint64_t o; ino_t_ n; struct fuse_entry_param e; int x = mk(r, p, nm, S_IFLNK | 0777, t, &o, &n);
	if (x) { fuse_reply_err(r, x); return; }
	ent(o, &n, &e); fuse_reply_entry(r, &e);
}
static void l_readlink(fuse_req_t r, fuse_ino_t i)
{
	ino_t_ n; char b[4097]; int x = rdino(i, &n);
	if (!x) x = dmu_read(os, i, 0, MIN(n.size, 4096), b, DMU_READ_NO_PREFETCH);
	if (x) { fuse_reply_err(r, x); return; }
	b[MIN(n.size, 4096)] = 0; fuse_reply_readlink(r, b);
}
static void l_create(fuse_req_t r, fuse_ino_t p, const char *nm, mode_t m, struct fuse_file_info *f)
{
	uint64_t o; ino_t_ n; struct fuse_entry_param e; int x = mk(r, p, nm, S_IFREG | (m & 07777), NULL, &o, &n);
	if (x) { fuse_reply_err(r, x); return; }
	atomic_inc_32(&opens[H(o)]); ent(o, &n, &e); f->keep_cache = 1; fuse_reply_create(r, &e, f);
}
static void l_open(fuse_req_t r, fuse_ino_t i, struct fuse_file_info *f) { atomic_inc_32(&opens[H(i)]); f->keep_cache = 1; fuse_reply_open(r, f); }
static void reap(uint64_t o)
{
	dmu_tx_t *tx = dmu_tx_create(os); dmu_tx_hold_free(tx, o, 0, DMU_OBJECT_END);
	int x = dmu_tx_assign(tx, DMU_TX_WAIT);
	if (x) { dmu_tx_abort(tx); return; }
	(void) dmu_object_free(os, o, tx); dmu_tx_commit(tx);
}
static void l_release(fuse_req_t r, fuse_ino_t i, struct fuse_file_info *f)
{
	(void) f; if (atomic_dec_32_nv(&opens[H(i)]) == 0 && dead[H(i)]) { dead[H(i)] = 0; (void) dmu_free_long_range(os, i, 0, DMU_OBJECT_END); reap(i); }
	fuse_reply_err(r, 0);
}
static void l_read(fuse_req_t r, fuse_ino_t i, size_t sz, off_t off, struct fuse_file_info *f)
{
	(void) f; ino_t_ n; rl(i); int x = rdino(i, &n);
	if (x || (uint64_t)off >= n.size) { ul(i); if (x) fuse_reply_err(r, x); else fuse_reply_buf(r, NULL, 0); return; }
	sz = MIN(sz, n.size - off); char *b = malloc(sz);
	x = dmu_read(os, i, off, sz, b, DMU_READ_PREFETCH); ul(i);
	if (x) fuse_reply_err(r, x); else fuse_reply_buf(r, b, sz);
	free(b);
}
static int wr1(uint64_t i, const char *b, uint64_t len, uint64_t off)
{
	dmu_buf_t *db; uint32_t bs; u_longlong_t nb; int x;
	if ((x = dmu_bonus_hold(os, i, TAG, &db))) return (x);
	dmu_tx_t *tx = dmu_tx_create(os); dmu_tx_hold_write(tx, i, off, len); dmu_tx_hold_bonus(tx, i);
	if ((x = dmu_tx_assign(tx, DMU_TX_WAIT))) { dmu_tx_abort(tx); dmu_buf_rele(db, TAG); return (x); }
	ino_t_ *n = db->db_data; uint64_t end = off + len;
	dmu_object_size_from_db(db, &bs, &nb);
	if (end > bs && bs < recsize && n->size <= bs) {	/* single-block file: grow its block, as zfs_grow_blocksize() */
		uint64_t nbz = end >= recsize ? recsize : MIN(recsize, P2ROUNDUP(end, 512));
		(void) dmu_object_set_blocksize(os, i, nbz, 0, tx); dmu_object_size_from_db(db, &bs, &nb);
	}
	dmu_write(os, i, off, len, b, tx);
	dmu_buf_will_dirty(db, tx); n = db->db_data; if (end > n->size) n->size = end; nowt(n->mt); memcpy(n->ct, n->mt, 16);
	itx_t *itx = zil_itx_create(TX_WRITE, sizeof (lr_write_t)); lr_write_t *lr = (lr_write_t *)&itx->itx_lr;
	lr->lr_foid = i; lr->lr_offset = off; lr->lr_length = len; lr->lr_blkoff = 0; BP_ZERO(&lr->lr_blkptr);
	itx->itx_wr_state = len >= 32768 && bs >= 32768 ? WR_INDIRECT : WR_NEED_COPY; itx->itx_sync = B_FALSE;
	zil_itx_assign(zl, itx, tx); dmu_tx_commit(tx); dmu_buf_rele(db, TAG); return (0);
}
static void l_write(fuse_req_t r, fuse_ino_t i, const char *b, size_t sz, off_t off, struct fuse_file_info *f)
{
	(void) f; int x = 0; size_t d = 0; wl(i);
	while (d < sz && !x) { size_t k = MIN(sz - d, recsize - (off + d) % recsize); x = wr1(i, b + d, k, off + d); d += k; }
	ul(i); if (x) fuse_reply_err(r, x); else fuse_reply_write(r, sz);
}
static void l_fsync(fuse_req_t r, fuse_ino_t i, int ds, struct fuse_file_info *f) { (void) ds; (void) f; zil_commit(zl, i); fuse_reply_err(r, 0); }
static void l_fsyncdir(fuse_req_t r, fuse_ino_t i, int ds, struct fuse_file_info *f) { (void) i; (void) ds; (void) f; zil_commit(zl, 0); fuse_reply_err(r, 0); }
static void l_flush(fuse_req_t r, fuse_ino_t i, struct fuse_file_info *f) { (void) i; (void) f; fuse_reply_err(r, ENOSYS); }
static void rmx(fuse_req_t r, uint64_t p, const char *nm, int dir)
{
	uint64_t o, cnt; dmu_buf_t *db; int x; wl(p);
	if ((x = zap_lookup(os, p, nm, 8, 1, &o))) { ul(p); fuse_reply_err(r, x); return; }
	if (dir && zap_count(os, o, &cnt) == 0 && cnt) { ul(p); fuse_reply_err(r, ENOTEMPTY); return; }
	int busy = opens[H(o)] != 0; ino_t_ oi; VERIFY0(rdino(o, &oi));
	if (!dir && !busy && oi.size > (8 << 20)) (void) dmu_free_long_range(os, o, 0, DMU_OBJECT_END);
	dmu_tx_t *tx = dmu_tx_create(os); dmu_tx_hold_zap(tx, p, B_FALSE, nm); dmu_tx_hold_bonus(tx, p);
	if (!busy) dmu_tx_hold_free(tx, o, 0, DMU_OBJECT_END);
	VERIFY0(dmu_tx_assign(tx, DMU_TX_WAIT)); VERIFY0(zap_remove(os, p, nm, tx));
	VERIFY0(dmu_bonus_hold(os, p, TAG, &db)); dmu_buf_will_dirty(db, tx); ino_t_ *n = db->db_data; n->size--; nowt(n->mt); if (dir) n->nlink--; dmu_buf_rele(db, TAG);
	logname(dir ? TX_RMDIR : TX_REMOVE, p, o, nm, tx);
	if (!busy) { if (dir) VERIFY0(zap_destroy(os, o, tx)); else VERIFY0(dmu_object_free(os, o, tx)); } else dead[H(o)] = 1;
	dmu_tx_commit(tx); ul(p); fuse_reply_err(r, 0);
}
static void l_unlink(fuse_req_t r, fuse_ino_t p, const char *nm) { rmx(r, p, nm, 0); }
static void l_rmdir(fuse_req_t r, fuse_ino_t p, const char *nm) { rmx(r, p, nm, 1); }
static void l_rename(fuse_req_t r, fuse_ino_t p, const char *nm, fuse_ino_t q, const char *mm, unsigned fl)
{
	uint64_t o, t; int x, had; (void) fl; static pthread_mutex_t rn = PTHREAD_MUTEX_INITIALIZER; pthread_mutex_lock(&rn);
	if ((x = zap_lookup(os, p, nm, 8, 1, &o))) { pthread_mutex_unlock(&rn); fuse_reply_err(r, x); return; }
	had = zap_lookup(os, q, mm, 8, 1, &t) == 0;
	dmu_tx_t *tx = dmu_tx_create(os); dmu_tx_hold_zap(tx, p, B_FALSE, nm); dmu_tx_hold_zap(tx, q, B_TRUE, mm); if (had) dmu_tx_hold_free(tx, t, 0, DMU_OBJECT_END);
	VERIFY0(dmu_tx_assign(tx, DMU_TX_WAIT)); VERIFY0(zap_remove(os, p, nm, tx));
	if (had) { VERIFY0(zap_update(os, q, mm, 8, 1, &o, tx)); if (!opens[H(t)]) (void) dmu_object_free(os, t, tx); else dead[H(t)] = 1; } else VERIFY0(zap_add(os, q, mm, 8, 1, &o, tx));
	logname(TX_RENAME, q, o, mm, tx); dmu_tx_commit(tx); pthread_mutex_unlock(&rn); fuse_reply_err(r, 0);
}
static void l_readdir(fuse_req_t r, fuse_ino_t i, size_t sz, off_t off, struct fuse_file_info *f)
{
	(void) f; char *b = malloc(sz); size_t u = 0; zap_cursor_t zc; zap_attribute_t *za = zap_attribute_alloc(); struct stat s; memset(&s, 0, sizeof (s));
	/* cookie: 0 ., 1 .., then zap cursor serialisation + 3 */
	rl(i);
	if (off == 0) { s.st_ino = i; s.st_mode = S_IFDIR; u += fuse_add_direntry(r, b, sz, ".", &s, 1); off = 1; }
	if (off == 1) { s.st_ino = 1; s.st_mode = S_IFDIR; u += fuse_add_direntry(r, b + u, sz - u, "..", &s, 2); off = 2; }
	if (off == 2) zap_cursor_init(&zc, os, i); else zap_cursor_init_serialized(&zc, os, i, off - 3);
	while (zap_cursor_retrieve(&zc, za) == 0) {
		zap_cursor_advance(&zc); s.st_ino = za->za_first_integer; s.st_mode = 0;
		size_t k = fuse_add_direntry(r, b + u, sz - u, za->za_name, &s, zap_cursor_serialize(&zc) + 3);
		if (k > sz - u) break;
		u += k;
	}
	zap_cursor_fini(&zc); ul(i); zap_attribute_free(za); fuse_reply_buf(r, b, u); free(b);
}
static void l_statfs(fuse_req_t r, fuse_ino_t i)
{
	(void) i; uint64_t ref, av, uo, ao; struct statvfs v; memset(&v, 0, sizeof (v)); dmu_objset_space(os, &ref, &av, &uo, &ao);
	v.f_bsize = v.f_frsize = 4096; v.f_blocks = (ref + av) / 4096; v.f_bfree = v.f_bavail = av / 4096; v.f_files = uo + ao; v.f_ffree = v.f_favail = ao; v.f_namemax = 255; fuse_reply_statfs(r, &v);
}
static void l_init(void *u, struct fuse_conn_info *c)
{
	(void) u; c->max_write = 1 << 20; c->max_readahead = 1 << 20;
	if (wback && (c->capable & FUSE_CAP_WRITEBACK_CACHE)) c->want |= FUSE_CAP_WRITEBACK_CACHE;
}
static const struct fuse_lowlevel_ops ops = { .init = l_init, .lookup = l_lookup, .getattr = l_getattr, .setattr = l_setattr, .mkdir = l_mkdir, .symlink = l_symlink, .readlink = l_readlink,
	.create = l_create, .open = l_open, .release = l_release, .read = l_read, .write = l_write, .fsync = l_fsync, .fsyncdir = l_fsyncdir, .flush = l_flush,
	.unlink = l_unlink, .rmdir = l_rmdir, .rename = l_rename, .readdir = l_readdir, .statfs = l_statfs };

int main(int c, char **v)
{
	if (c < 8) return (2);
	int creat = !strcmp(v[1], "create"); file = v[2]; uint64_t sz = strtoull(v[3], 0, 0) << 20; int enc = !strcmp(v[4], "enc"); const char *ck = v[5]; recsize = strtoull(v[6], 0, 0); const char *mp = v[7]; wback = c > 8 && !strcmp(v[8], "writeback");
	for (int i = 0; i < NL; i++) pthread_rwlock_init(&lk[i], NULL);
	gen = time(NULL) * 1000000ULL;
	engine_start();
	if (creat) {
		pool_create(POOL, DS, file, sz, enc, ck, create_cb, TAG, &spa);
	} else {	/* the label of the vdev file holds the pool configuration */
		nvlist_t *lab, *tree, *cfg; int nl, fd = open(file, O_RDONLY); VERIFY0(zpool_read_label(fd, &lab, &nl)); close(fd);
		VERIFY0(nvlist_lookup_nvlist(lab, ZPOOL_CONFIG_VDEV_TREE, &tree));
		cfg = fnvlist_dup(lab); nvlist_t *root = fnvlist_alloc(); fnvlist_add_string(root, ZPOOL_CONFIG_TYPE, VDEV_TYPE_ROOT); fnvlist_add_uint64(root, ZPOOL_CONFIG_ID, 0); fnvlist_add_uint64(root, ZPOOL_CONFIG_GUID, fnvlist_lookup_uint64(lab, ZPOOL_CONFIG_POOL_GUID));
		const nvlist_t *ch[1] = { tree }; fnvlist_add_nvlist_array(root, ZPOOL_CONFIG_CHILDREN, ch, 1); fnvlist_add_nvlist(cfg, ZPOOL_CONFIG_VDEV_TREE, root);
		VERIFY0(spa_import((char *)POOL, cfg, NULL, 0)); VERIFY0(spa_open(POOL, &spa, TAG));
	}
	own();
	char *av[] = { "zlfuse", "-o", "fsname=zlfuse,allow_other,default_permissions", NULL }; struct fuse_args a = FUSE_ARGS_INIT(3, av);
	struct fuse_session *se = fuse_session_new(&a, &ops, sizeof (ops), NULL); VERIFY(se != NULL);
	VERIFY0(fuse_set_signal_handlers(se)); VERIFY0(fuse_session_mount(se, mp));
	struct fuse_loop_config *lc = fuse_loop_cfg_create(); fuse_loop_cfg_set_clone_fd(lc, 0); fuse_session_loop_mt(se, lc);
	fuse_session_unmount(se); fuse_session_destroy(se);
	zil_close(zl); txg_wait_synced(spa_get_dsl(spa), 0); dmu_objset_disown(os, B_TRUE, TAG); spa_close(spa, TAG);
	VERIFY0(spa_export(POOL, NULL, B_FALSE, B_FALSE)); kernel_fini(); return (0);
}
