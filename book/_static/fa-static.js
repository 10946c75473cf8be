// The theme's Font Awesome script turns every <i class="fa ..."> into an <svg>, also those that the widgets'
// Play button later looks up by tag: its click then fails. Convert only what is there at load.
window.FontAwesomeConfig = { observeMutations: false };
