// Package profiler is libtorch's own profiler (torch.profiler), which is kineto: it notes each operation's time on the
// CPU and, where there is one, each kernel's on the GPU, and writes a trace that chrome://tracing and ui.perfetto.dev
// show.
//
//	p, err := profiler.Run("trace.json", func() {
//		for range 10 {
//			profiler.Range("step", step)
//		}
//	})
//	fmt.Println(p.Table(20))
//
// What Go itself does isn't in it: runtime/pprof shows that.
package profiler
