typedef int resr_placeholder;
