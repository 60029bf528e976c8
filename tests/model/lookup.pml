/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lookups against a split or a merge of buckets and a commit of two keys (table.h: T2, T3), with
 * the steps of lookup.c, commit.c and grow.c in their order.
 *
 * Key A is in bucket 0 and moves to bucket 2 when that is split off, or back with -DMERGE; key B is
 * in bucket 1. A commit changes both from OLD to NEW. Two readers look both keys up, one after the
 * other, in either order. No reader may miss a key, and none may see the second key OLD after the
 * first was NEW.
 *
 * Steps of the protocol are switches, and the search must find a counterexample without them:
 *   -DNO_TXN            a reader does not wait while a commit publishes
 *   -DNO_MISS           a reader that finds nothing believes it
 *   -DMERGE -DNO_HOME   it looks at the header again, but not at the geometry
 *
 * Memory is sequentially consistent here; a header is one word, so what reads or writes it is
 * atomic.
 */

#ifdef NO_TXN
#define TXN_SEEN false
#else
#define TXN_SEEN was_txn
#endif
#ifdef NO_MISS
#define HEADER_HOLDS true
#else
#define HEADER_HOLDS (version[x] == h && !locked[x] && !was_locked && was_depth == d)
#endif
#if defined(NO_MISS) || defined(NO_HOME)
#define HOME_HOLDS true
#else
#define HOME_HOLDS (home(k) == x)
#endif

#define OLD   0
#define NEW   1
#define EMPTY 9

#define KEY_A 0
#define KEY_B 1

byte slot[3];          /* what the key's slot of each bucket holds */
byte version[3];       /* of the bucket's header */
byte depth[3];         /* 1: the bucket belongs to a split pair */
bit locked[3], txn[3]; /* flags of the header */
bit has_split;         /* the geometry: the number of buckets, grow.c's `buckets` */

#ifdef MERGE
#define FROM 2
#define TO   0
#else
#define FROM 0
#define TO   2
#endif

#define home(k) (k == KEY_B -> 1 : (has_split -> 2 : 0))

inline lock(b)
{
	atomic {
		!locked[b] -> locked[b] = 1
	}
}

inline unlock(b)
{
	atomic {
		version[b]++;
		locked[b] = 0;
		txn[b] = 0
	}
}

/* Bucket numbers rise, so that two commits cannot wait for one another. */
proctype Commit()
{
	byte a, low, high;

	do
	:: a = home(KEY_A);
	   low = (a < 1 -> a : 1);
	   high = (a < 1 -> 1 : a);
	   lock(low);
	   lock(high);
	   if
	   :: home(KEY_A) == a -> break
	   :: else -> locked[low] = 0; locked[high] = 0 /* the key has moved meanwhile */
	   fi
	od;
	txn[low] = 1;
	txn[high] = 1;
	slot[low] = NEW;
	slot[high] = NEW;
	unlock(low);
	unlock(high)
}

/* The item is at one of its two homes at any time; the child keeps its depth when it is merged. */
proctype Resize()
{
	lock(0);
	lock(2);
	slot[TO] = slot[FROM];
	has_split = !has_split;
	slot[FROM] = EMPTY;
	atomic {
		depth[0] = has_split;
		unlock(0)
	};
	atomic {
		depth[2] = 1;
		unlock(2)
	}
}

/* Looks key `k` up in bucket x, which must have depth d by the geometry. */
inline get(k, result)
{
	done = 0;
	do
	:: done -> break
	:: else ->
	   atomic {
		   x = home(k);
		   d = (k == KEY_A && has_split -> 1 : 0)
	   };
	   atomic {
		   h = version[x];
		   was_locked = locked[x];
		   was_txn = txn[x];
		   was_depth = depth[x]
	   };
	   if
	   :: TXN_SEEN /* again */
	   :: else ->
	      found = slot[x];
	      if
	      :: found != EMPTY -> result = found; done = 1
	      :: else ->
		 same = HEADER_HOLDS;
		 if
		 :: same && HOME_HOLDS -> result = EMPTY; done = 1
		 :: else /* again */
		 fi
	      fi
	   fi
	od
}

proctype Reader(bit b_first)
{
	byte x, d, h, was_depth, found, of_a, of_b;
	bit was_locked, was_txn, same, done;

	if
	:: b_first -> get(KEY_B, of_b)
	:: else -> get(KEY_A, of_a)
	fi;
	if
	:: b_first -> get(KEY_A, of_a)
	:: else -> get(KEY_B, of_b)
	fi;
	assert(of_a != EMPTY && of_b != EMPTY);
	assert(!(b_first && of_b == NEW && of_a == OLD));
	assert(!(!b_first && of_a == NEW && of_b == OLD))
}

init {
	atomic {
		slot[TO] = EMPTY;
		has_split = (FROM == 2);
		depth[0] = has_split;
		depth[2] = has_split;
		run Commit();
		run Resize();
		run Reader(0);
		run Reader(1)
	}
}
