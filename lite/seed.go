package lite

import (
	"math/rand/v2"

	"github.com/golite/golite/internal/options"
	"github.com/golite/golite/lite/accelerator"
	"github.com/golite/golite/torch"
)

// SeedOptions are SeedEverything's optional arguments.
type SeedOptions struct {
	// NoWorkers leaves the workers of the loaders that are set up from now on to the loaders' own seeds, as PyTorch does:
	// these come from the default generator and so follow from the seed as well, but are the same on all ranks. Else the
	// rank is mixed into them (Fabric.seed_everything(workers=True)).
	NoWorkers bool
}

// SeedEverything makes the run reproducible: it seeds torch's default generators, the GPUs' too, alike on every rank,
// so that models start with equal weights; and, differently on each, RankGenerator and Rand. The seed is at most 2^32-1
// (libtorch's generator uses no more bits); a larger one panics. Go's global math/rand can't be seeded: use Rand.
//
// Lightning's writes the seed into environment variables; this doesn't: ranks that share a process share those.
func (l *Lite) SeedEverything(seed uint64, opts ...SeedOptions) {
	if seed > 1<<32-1 {
		torch.Fail("lite.SeedEverything", "the seed %d is more than 4294967295, and libtorch would cut it off silently", seed)
	}
	o := options.Must("lite.SeedEverything", opts, torch.Fail)
	l.seed, l.noWorkers = seed, o.NoWorkers
	torch.ManualSeed(seed)
	l.seedDevices(seed)
	l.parts.seed(seed)
	l.seedRank(mixSeed(seed, uint64(l.rank.GlobalRank)))
}

// seedDevices restarts the default generators of all devices, as torch.manual_seed does; of goroutine ranks each
// restarts that of its own device, as the others are other ranks'.
func (l *Lite) seedDevices(seed uint64) {
	accelerator.Seed(l.accelerator, seed, l.device)
	inProcess := l.rank.WorldSize > 1 && l.group.InProcess()
	for _, e := range accelerator.Entries() {
		own := e.Accelerator.Type() == l.device.Type
		if r, ok := e.Accelerator.(accelerator.Randomizer); ok && !(own && inProcess) {
			r.Seed(seed)
		}
	}
}

func (l *Lite) seedRank(mixed uint64) {
	l.rankGen.ManualSeed(mixed & (1<<32 - 1))
	l.pcg.Seed(mixed, l.seed)
}

// mixSeed gives each rank a seed of its own: neighbouring seeds and ranks end far apart (the finaliser of splitmix64).
func mixSeed(seed, rank uint64) uint64 {
	z := seed*0x9e3779b97f4a7c15 + (rank+1)*0xd1342543de82ef95
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// RankGenerator returns the random stream that differs from rank to rank: for a GAN's noise and the like. Its state is
// part of every checkpoint.
func (l *Lite) RankGenerator() *torch.Generator { return l.rankGen }

// Rand returns a source of Go's random numbers that differs from rank to rank and follows from the seed. Its state is
// part of every checkpoint.
func (l *Lite) Rand() *rand.Rand { return l.rand }

// initRandom makes the rank's streams, seeded at random until SeedEverything is called.
func (l *Lite) initRandom() {
	l.rankGen = torch.NewGeneratorOn(l.device, rand.Uint64()&(1<<32-1))
	l.pcg = rand.NewPCG(rand.Uint64(), rand.Uint64())
	l.rand = rand.New(l.pcg)
}
