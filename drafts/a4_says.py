RECORD_SAYS = r"""
The single run above was no exception. On all three kinds pass@1 rises, and for counts with rain it ends well above the share of right answers in the examples. pass@8 of counts, which was near 1 before, stays there. The vote of eight helps the start with plain counts and does not help with rain.
"""
FAULTS_SAYS = r"""
This table, from the same record, shows pass@1 after training on counts with rain alone, each time from the same starts. Two of the verifiers make mistakes at random: one refuses three in ten right answers, the other lets three in ten wrong answers pass. Which ones depends on task and answer and stays the same throughout (`FaultyVerifier`). With both of them the answers still become better, since there is nothing in their mistakes that a policy could learn from one task for another. The mistakes of the blind verifier have a pattern. They can be learnt, and they were, and with them the model has become worse at stories without rain, too.

So a question to ask of a verifier is less how often it is wrong than whether its mistakes have a pattern. Wrong answers that pass are worse than right ones that are refused for two more reasons. On hard tasks nearly all answers are wrong, so even a small rate fills the positive verdicts with them. And whoever looks only at the reward cannot see them.
"""
