package ddp

// mt19937 is the Mersenne twister MT19937, in which NumPy's RandomState draws PowerSGD's seeds.
type mt19937 struct {
	state [624]uint32
	at    int
}

func newMT19937(seed uint32) *mt19937 {
	t := &mt19937{at: 624}
	t.state[0] = seed
	for i := 1; i < len(t.state); i++ {
		before := t.state[i-1]
		t.state[i] = 1812433253*(before^before>>30) + uint32(i)
	}
	return t
}

func (t *mt19937) refill() {
	n := len(t.state)
	for i := range n {
		y := t.state[i]&0x80000000 | t.state[(i+1)%n]&0x7fffffff
		next := t.state[(i+397)%n] ^ y>>1
		if y&1 != 0 {
			next ^= 0x9908b0df
		}
		t.state[i] = next
	}
	t.at = 0
}

func (t *mt19937) next() uint32 {
	if t.at == len(t.state) {
		t.refill()
	}
	y := t.state[t.at]
	t.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// below draws a number less than n as RandomState.randint does: it masks bits off, and draws again where that is too
// much.
func (t *mt19937) below(n uint32) uint32 {
	mask := n - 1
	for s := 1; s < 32; s *= 2 {
		mask |= mask >> s
	}
	for {
		if v := t.next() & mask; v < n {
			return v
		}
	}
}
