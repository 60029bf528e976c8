/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A point-in-time snapshot while writers with stale clocks and a commit of two keys run.
 *
 * Two buckets of one key each. The cut is a time S, published a little ahead of every clock: what
 * commits below S is in, the rest is not. A walker stamps each bucket by compare-and-swap and emits
 * its value; a writer that changes a bucket not stamped yet, at or above S, emits the old value in
 * its place. Each key must be emitted exactly once, with its last value below S, and the
 * transaction as a whole or not at all.
 *
 * The code to this is dataplane/table/snapshot.c. Its walk begins when the cut is in the past, which
 * this model does not need: that is for real-time order across buckets.
 *
 * Two steps are switches, and the search must find a counterexample without either:
 *   -DNO_STAMP  stamping does not raise the bucket's time to S
 *   -DLATE      S is published late, when clocks may have passed it
 * -DSMALL leaves one of the two writers out, which makes the search a matter of seconds.
 */

#ifdef NO_STAMP
#define STAMP_RAISES false
#else
#define STAMP_RAISES true
#endif
#ifdef LATE
#define TICKS 8
#else
#define TICKS 5
#endif

#define DRIFT 2    /* a commit's time is at most so far ahead of the clock */
#define TXN   200  /* the value that the transaction writes */

byte now = 1, S = 0;             /* S: the cut, 0 while there is none */
byte next_value = 10, txn_time = 0;
bit locked[2], stamped[2];
byte bucket_time[2], item_time[2], value[2];
byte emitted[2], emitted_value[2];
byte changes[2], time_of[6], value_of[6]; /* what happened, for the oracle */

inline lock(b)
{
	atomic {
		!locked[b] -> locked[b] = 1
	}
}

inline emit(b, v)
{
	d_step {
		emitted[b]++;
		emitted_value[b] = v
	}
}

inline hand_over_old(b)
{
	if
	:: s != 0 && time >= s && !stamped[b] && item_time[b] < s -> emit(b, value[b])
	:: else
	fi
}

inline put(b, v)
{
	d_step {
		item_time[b] = time;
		value[b] = v;
		bucket_time[b] = time;
		time_of[b * 3 + changes[b]] = time;
		value_of[b * 3 + changes[b]] = v;
		changes[b]++
	}
}

proctype Writer(byte b)
{
	byte clock = 0, time, s, v;

	if
	:: clock = now
	:: skip /* a clock that has not moved */
	fi;
	lock(b);
	atomic {
		time = (clock > bucket_time[b] -> clock : bucket_time[b]) + 1;
		time <= now + DRIFT
	};
	s = S;
	hand_over_old(b);
	d_step {
		v = next_value;
		next_value++
	};
	put(b, v);
	assert(!(s == 0 && S != 0 && time >= S));
	locked[b] = 0
}

proctype Transaction()
{
	byte clock = 0, time, s;

	if
	:: clock = now
	:: skip
	fi;
	lock(0);
	lock(1);
	atomic {
		time = clock;
		if
		:: bucket_time[0] > time -> time = bucket_time[0]
		:: else
		fi;
		if
		:: bucket_time[1] > time -> time = bucket_time[1]
		:: else
		fi;
		time++;
		time <= now + DRIFT
	};
	s = S;
	hand_over_old(0);
	hand_over_old(1);
	put(0, TXN);
	put(1, TXN);
	txn_time = time;
	locked[1] = 0;
	locked[0] = 0
}

proctype Walker()
{
	byte b = 0, clock, h, t, v;
	bit was_locked, was_stamped;

#ifdef LATE
	clock = now + 2 * DRIFT + 1;
	S = clock;
#else
	atomic {
		clock = now + 2 * DRIFT + 1;
		S = clock
	}
#endif
	do
	:: b < 2 ->
	   atomic {
		   h = bucket_time[b];
		   was_locked = locked[b];
		   was_stamped = stamped[b]
	   };
	   if
	   :: was_locked /* again */
	   :: else ->
	      atomic {
		      t = item_time[b];
		      v = value[b]
	      };
	      atomic { /* the compare-and-swap of the header */
		      if
		      :: !locked[b] && bucket_time[b] == h && stamped[b] == was_stamped ->
			 if
			 :: !was_stamped ->
			    stamped[b] = 1;
			    if
			    :: t < S -> emitted[b]++; emitted_value[b] = v
			    :: else
			    fi;
			    if
			    :: STAMP_RAISES && bucket_time[b] < S -> bucket_time[b] = S
			    :: else
			    fi
			 :: else
			 fi;
			 b++
		      :: else
		      fi
	      }
	   fi
	:: else -> break
	od
}

proctype Clock()
{
	do
	:: now < TICKS -> now++
	:: else -> break
	od
}

init {
	byte i = 0, last0 = 1, last1 = 2;

	atomic {
		value[0] = 1;
		value[1] = 2;
		run Walker();
		run Writer(0);
#ifndef SMALL
		run Writer(1);
#endif
		run Transaction();
		run Clock()
	}
	_nr_pr == 1;
	d_step {
		do
		:: i < changes[0] ->
		   if
		   :: time_of[i] < S -> last0 = value_of[i]
		   :: else
		   fi;
		   i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < changes[1] ->
		   if
		   :: time_of[3 + i] < S -> last1 = value_of[3 + i]
		   :: else
		   fi;
		   i++
		:: else -> break
		od
	};
	assert(emitted[0] == 1 && emitted[1] == 1);
	assert(emitted_value[0] == last0 && emitted_value[1] == last1);
	assert(!(txn_time >= S && (emitted_value[0] == TXN || emitted_value[1] == TXN)))
}
